"""Small stacks of layers that lectures argue with, built to be traced like any network."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from convatlas.errors import InputError


def conv_stack(config: Mapping[str, Any]) -> tuple[nn.Module, tuple[int, ...]]:
    """Build convolutions in a row, each with a ReLU, and the shape of an image for them.

    Args:
        config: `layers`: the kernel sizes; `channels` of every map (1), `stride` (1) and `bias`
            (True) of every convolution; `input_size` in pixels (such that one value comes out).

    Raises:
        InputError: `layers` is no list of kernel sizes, or another entry no number.
    """
    kernels = config.get("layers")
    if not isinstance(kernels, list) or not kernels:
        raise InputError(f"a conv_stack needs layers, a list of kernel sizes, not {kernels!r}")
    channels, stride = config.get("channels", 1), config.get("stride", 1)
    size = config.get("input_size", _least_size(kernels, stride))
    if not all(type(n) is int and n > 0 for n in (*kernels, channels, stride, size)):
        raise InputError(f"the layers, channels, stride and input_size of {dict(config)} are sizes")
    bias = config.get("bias", True) is not False
    layers: list[nn.Module] = []
    with torch.device("meta"):
        for kernel in kernels:
            layers += [nn.Conv2d(channels, channels, kernel, stride, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers), (channels, size, size)


def _least_size(kernels: list[Any], stride: Any) -> int:
    size = 1
    for kernel in reversed(kernels):
        if type(kernel) is int and type(stride) is int:
            size = (size - 1) * stride + kernel
    return size


STUDIES: dict[str, Callable[[Mapping[str, Any]], tuple[nn.Module, tuple[int, ...]]]] = {
    "conv_stack": conv_stack
}
