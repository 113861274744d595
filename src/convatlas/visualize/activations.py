"""Activation maps: what each channel of a layer answers to an image, and which never answer.

Zeiler, Fergus 2013, section 4.1, judge the first layer of AlexNet by such maps and its dead
filters.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.visualize.layers import maps_of


def activations(model: nn.Module, images: Tensor, layer: str | None = None) -> Tensor:
    """Give the maps of any layer, as they are.

    Args:
        model: Any network; evaluated in evaluation mode and left as it was.
        images: Preprocessed, (N, C, H, W).
        layer: Dotted name; `model.cam_layer` when not given.

    Returns:
        (N, K, h, w), not scaled; `scaled_maps` makes pictures of them.

    Raises:
        UnknownNameError: `model` has no such layer; the message lists near names.
        InputError: The layer gives no maps.
    """
    return maps_of(model, images, layer)


def scaled_maps(maps: Tensor) -> Tensor:
    """Scale each map of each image by itself: its least value becomes 0, its greatest 1.

    Args:
        maps: (N, K, h, w).

    Returns:
        The same shape; a map that is the same everywhere becomes 0.
    """
    low, high = maps.amin(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)


def dead_maps(
    model: nn.Module, batches: Iterable[Tensor], layer: str | None = None
) -> tuple[int, ...]:
    """Name the maps that say nothing: with one and the same value for all images and places.

    Behind a ReLU that value is 0.

    Args:
        model: Any network; evaluated in evaluation mode and left as it was.
        batches: Preprocessed images, (N, C, H, W) each; more of them find fewer dead maps.
        layer: Dotted name; `model.cam_layer` when not given.

    Returns:
        Their numbers, from 0.

    Raises:
        UnknownNameError: `model` has no such layer.
        InputError: The layer gives no maps, or there is no batch.
    """
    low = high = None
    for images in batches:
        maps = maps_of(model, images, layer)
        least, greatest = maps.amin(dim=(0, 2, 3)), maps.amax(dim=(0, 2, 3))
        low = least if low is None else torch.minimum(low, least)
        high = greatest if high is None else torch.maximum(high, greatest)
    if low is None or high is None:
        raise InputError("no images: dead maps are those that no image wakes")
    return tuple((low == high).nonzero()[:, 0].tolist())
