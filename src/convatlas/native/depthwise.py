"""Calls of depthwise.cpp, on float32 whose channels lie last. Callers check sizes."""

import ctypes
import functools
from ctypes import POINTER, c_long, c_void_p

from torch import Tensor, nn

from convatlas.native.build import FOLDER, library
from convatlas.native.maps import Call, padded

_SOURCE = FOLDER / "depthwise.cpp"


class Depthwise(ctypes.Structure):
    """Filters that look at one map each: (rows * columns, channels), and how they move."""

    _fields_ = (
        ("weights", c_void_p),
        ("bias", c_void_p),
        ("zeros", c_void_p),
        *((name, c_long) for name in ("high", "wide", "down", "right", "pad_top", "pad_left")),
        ("activation", c_long),
    )


class Filtering(ctypes.Structure):
    """Filters of single maps as a layer of their own; for `gate`, the number of maps alone."""

    _fields_ = (("channels", c_long), ("threads", c_long), ("how", Depthwise))


def convolve(layer: Filtering, x: Tensor, y: Tensor) -> None:
    """Convolve maps (N, channels, H, W) into (N, channels, H', W')."""
    _code().depthwise_run(layer, Call.of(x, y, None))


def gate(layer: Filtering, x: Tensor, y: Tensor, by: Tensor) -> None:
    """Multiply maps (N, channels, H, W) by numbers (N, channels, 1, 1)."""
    _code().gate_run(layer, Call.of(x, y, by))


def in_vectors(weight: Tensor) -> Tensor:
    """Lay out filters (channels, 1, rows, columns) as `Depthwise` has them, in float32."""
    channels = weight.shape[0]
    rows = weight.float().permute(2, 3, 1, 0).flatten(0, 2)
    return nn.functional.pad(rows, (0, padded(channels, lanes()) - channels)).contiguous()


def lanes() -> int:
    """Give how many floats a vector of this processor has."""
    return _code().depthwise_lanes()


def entry() -> c_void_p:
    """Give where the code of `convolve` begins."""
    return ctypes.cast(_code().depthwise_run, c_void_p)


def gate_entry() -> c_void_p:
    """Give where the code of `gate` begins."""
    return ctypes.cast(_code().gate_run, c_void_p)


@functools.cache
def _code() -> ctypes.CDLL:
    code = library(_SOURCE)
    code.depthwise_run.argtypes = (POINTER(Filtering), POINTER(Call))
    code.gate_run.argtypes = (POINTER(Filtering), POINTER(Call))
    return code
