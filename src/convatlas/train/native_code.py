"""The C++ code of training: operations that torch has not, or slowly, on processors."""

import ctypes
import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convatlas.native import build
from convatlas.native.build import openmp

TYPES = (torch.float32, torch.bfloat16)


def can_build(name: str) -> bool:
    """Say whether the code of that name is there, or can be built."""
    return build.can_build(_source(name))


@functools.cache
def native_function(name: str, function: str) -> Any:
    """Give a function of a file in `native/`, which takes the address of a structure.

    Raises:
        BuildError: It can't be built.
    """
    found = getattr(_code(name), function)
    found.argtypes, found.restype = (ctypes.c_void_p,), None
    return found


@functools.cache
def _code(name: str) -> ctypes.CDLL:
    return build.library(_source(name))


def _source(name: str) -> Path:
    return Path(__file__).parent / "native" / f"{name}.cpp"


def can_take(x: Tensor) -> bool:
    """Say whether maps are of a kind that the code computes: (N, C, H, W) of `TYPES`."""
    return x.device.type == "cpu" and x.dtype in TYPES and x.dim() == 4


def even_rows(x: Tensor) -> Tensor:
    """Give maps whose channels are neighbours and whose pixels are evenly apart: `stride(3)`.

    A part of the channels of wider maps stays where it is.
    """
    count, channels, height, width = x.shape
    far = [x.stride(i) for i, side in ((3, width), (2, height), (0, count)) if side > 1]
    pixel = far[0] if far else channels
    even = (height * width * pixel, 1, width * pixel, pixel)
    sides = zip(x.shape, x.stride(), even, strict=True)
    if pixel < channels or any(side > 1 and have != want for side, have, want in sides):
        x = x.contiguous(memory_format=torch.channels_last)
        even = (height * width * channels, 1, width * channels, channels)
    return x.as_strided(x.shape, even)


def threads() -> tuple[int, ctypes.c_void_p]:
    """Give how many threads torch computes on, and what runs work on them."""
    return torch.get_num_threads(), openmp()
