"""Layers by their names: the maps they give, and the pixels that a map's value sees."""

import torch
from torch import Tensor, nn

from convatlas.analysis.meta import meta_copy
from convatlas.analysis.record import LayerRecord
from convatlas.analysis.trace import trace
from convatlas.errors import InputError, unknown
from convatlas.evaluate.modes import eval_mode
from convatlas.visualize.scores import held_maps, layer_name, prepared, widened

Box = tuple[int, int, int, int]  # top, left, bottom, right; the last two are just outside


def maps_in_graph(model: nn.Module, inputs: Tensor, name: str) -> Tensor:
    """Run `model` and give the maps of a layer as they are in its graph, (N, K, h, w).

    The caller chooses the mode and whether there is a graph.

    Raises:
        InputError: The layer gives no maps, or does not run just once.
    """
    with held_maps(model, name, lambda maps: maps) as found:
        model(inputs.clone())
    return found[0]


@torch.no_grad()
def maps_of(model: nn.Module, images: Tensor, layer: str | None = None) -> Tensor:
    """Give the maps of a layer.

    Args:
        model: Any network; evaluated in evaluation mode and left as it was.
        images: Preprocessed, (N, C, H, W).
        layer: Dotted name of a layer that gives maps; `model.cam_layer` when not given.

    Returns:
        (N, K, h, w), float32, or float64 where the network is.

    Raises:
        UnknownNameError: `model` has no such layer; the message lists near names.
        InputError: `images` are none, or the layer gives no maps or does not run just once.
    """
    name = layer_name(model, layer)
    with eval_mode(model):
        return widened(maps_in_graph(model, prepared(model, images), name))


def record_of(model: nn.Module, input_shape: tuple[int, ...], layer: str) -> LayerRecord:
    """Give what the analysis knows of a layer: its shapes and its receptive field.

    Args:
        model: Any network; a copy of it runs, without values.
        input_shape: Of one image, (C, H, W).
        layer: Dotted name.

    Raises:
        UnknownNameError: No such layer runs.
        InputError: It gives no maps over the image.
    """
    found = trace(meta_copy(model), input_shape)
    records = {record.name: record for record in found.layers} | found.containers
    if layer not in records:
        raise unknown("layer that runs", layer, records)
    if not records[layer].is_map:
        raise InputError(f"layer {layer!r} gives {records[layer].output_shape}, no maps")
    return records[layer]


def seen_box(record: LayerRecord, position: tuple[int, int]) -> Box:
    """Give the pixels that one value of a layer's maps sees, padding counted as pixels.

    Args:
        record: As `record_of` gives it.
        position: Row and column on the map.

    Returns:
        May reach beyond the image.
    """
    rows, columns = record.fields
    (top, bottom), (left, right) = rows.interval(position[0]), columns.interval(position[1])
    return top, left, bottom + 1, right + 1
