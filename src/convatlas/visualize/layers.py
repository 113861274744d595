"""Layers by their names: the maps they give, and the pixels that a map's value sees."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from convatlas.analysis.meta import meta_copy
from convatlas.analysis.record import LayerRecord
from convatlas.analysis.trace import trace
from convatlas.errors import InputError, unknown
from convatlas.evaluate.modes import eval_mode
from convatlas.visualize.scores import held_maps, layer_name, prepared, widened

_PASSING = (nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Identity)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)

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


@torch.no_grad()
def last_features(model: nn.Module, images: Tensor) -> str:
    """Name the layer whose values the classifier reads: fc7's ReLU in AlexNet, a pooling mostly.

    The classifier is the last layer with weights of its own that is no normalization. What only
    passes values on (dropout, flattening) is skipped.

    Args:
        model: Any network; evaluated in evaluation mode and left as it was.
        images: What it takes, one will do.

    Raises:
        InputError: It has no such layers, or its features are computed outside of layers.
    """
    ran = _run_layers(model, prepared(model, images))
    owners = [i for i, one in enumerate(ran) if _owns_weights(one.module)]
    if len(owners) > 1:
        wanted = _place(ran[owners[-1]].given)
        found = [one for one in ran[: owners[-1]] if _place(one.gave) == wanted]
        single = [one for one in found if not isinstance(one.module, _PASSING) and one.is_leaf]
        if found:
            return (single[-1] if single else found[0]).name
    raise InputError(
        f"name the layer: the features that the classifier of {type(model).__name__} reads are not "
        "what one of its layers gives"
    )


class _Ran(NamedTuple):
    name: str
    module: nn.Module
    given: Tensor
    gave: Tensor

    @property
    def is_leaf(self) -> bool:
        return next(self.module.children(), None) is None


def _run_layers(model: nn.Module, inputs: Tensor) -> list[_Ran]:
    """Run a network and hold what its layers are given and give, in the order in which they end."""
    ran: list[_Ran] = []

    def hold(name: str, module: nn.Module, inputs: tuple, output: object) -> None:
        if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            ran.append(_Ran(name, module, inputs[0], output))

    hooks = [
        module.register_forward_hook(partial(hold, name))
        for name, module in model.named_modules()
        if name
    ]
    try:
        with eval_mode(model):
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return ran


def _owns_weights(module: nn.Module) -> bool:
    values = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    return bool(values) and not isinstance(module, _NORMS)


def _place(values: Tensor) -> tuple[int, int]:
    """Tell whether two tensors are the same values in memory, whatever their shapes."""
    return values.data_ptr(), values.numel()


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
        raise InputError(
            f"layer {layer!r} gives {records[layer].output_shape} for an image of {input_shape}, "
            "no maps over it"
        )
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
