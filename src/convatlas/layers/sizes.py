"""Sizes of images and of the maps that layers make of them: what fits, and what to say."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from convatlas.errors import InputError

Window = tuple[int, int, int]  # kernel, stride, padding


def check_images(
    x: Tensor, channels: int, smallest: tuple[int, int], layer: str, net: str = "this network"
) -> None:
    """Refuse what `net` can't take, before a layer fails in words of its own.

    Args:
        x: The batch that was given.
        channels: How many the first layer takes.
        smallest: Least height and width for which every layer still has an output.
        layer: The first layer that has none below that size.
        net: How the message names the network.

    Raises:
        InputError: Not a float tensor (N, channels, H, W), or too small; the message gives the
            size that came, the smallest legal one and the layer.
    """
    if x.dim() != 4:
        raise InputError(
            f"{net} takes a batch of images (N, {channels}, H, W); got a tensor of "
            f"{x.dim()} dimensions, {tuple(x.shape)}"
        )
    if not x.is_floating_point():
        raise InputError(
            f"{net} takes floating-point images; got {x.dtype}: convert and normalise them first"
        )
    if x.shape[1] != channels:
        raise InputError(
            f"{net} takes {channels} channels; got {x.shape[1]} in {tuple(x.shape)}: "
            f"build it with in_channels={x.shape[1]}"
        )
    height, width = x.shape[2:]
    if height < smallest[0] or width < smallest[1]:
        raise InputError(
            f"{net} takes images of at least {smallest[0]}x{smallest[1]}, the least for "
            f"{layer}; got {height}x{width}"
        )


def check_map(x: Tensor, size: tuple[int, int], layer: str, sizes: str) -> None:
    """Refuse a feature map that a fully connected layer was not built for.

    Args:
        x: The maps that reach `layer`, (N, C, H, W).
        size: Height and width that `layer` takes.
        layer: Its dotted name.
        sizes: The legal image sizes, in words.

    Raises:
        InputError: The maps have another size.
    """
    if x.shape[2:] != torch.Size(size):
        raise InputError(
            f"{layer} takes maps of {size[0]}x{size[1]}, that is images of {sizes}; "
            f"got maps of {x.shape[2]}x{x.shape[3]}"
        )


def map_side(image: int, windows: Iterable[Window]) -> int:
    """Give the height of the maps that `windows`, one after the other, leave of an image's."""
    side = image
    for kernel, stride, padding in windows:
        side = (side + 2 * padding - kernel) // stride + 1
    return side


def image_sides(side: int, windows: Sequence[Window]) -> tuple[int, int]:
    """Give the least and the largest height of an image that `windows` turn into maps of `side`."""
    least = largest = side
    for kernel, stride, padding in reversed(windows):
        least = (least - 1) * stride + kernel - 2 * padding
        largest = largest * stride + kernel - 2 * padding - 1
    return least, largest
