"""Calls of pool.cpp, on tensors whose channels lie last. Sizes are checked by those who call."""

import ctypes
import functools
from ctypes import POINTER, c_long, c_void_p

from torch import Tensor

from convatlas.native.build import FOLDER, library
from convatlas.native.maps import Call

_SOURCE = FOLDER / "pool.cpp"


class Pool(ctypes.Structure):
    """A pooling; `mean` is 0 for the largest, 1 for the mean with zeros outside, 2 without."""

    _fields_ = tuple(
        (name, c_long)
        for name in (
            *("channels", "high", "wide", "down", "right", "pad_top", "pad_left"),
            *("mean", "threads", "halves"),
        )
    )


def pool(layer: Pool, x: Tensor, y: Tensor) -> None:
    """Pool maps (N, channels, H, W) into (N, channels, H', W')."""
    _code().pool_run(layer, Call.of(x, y, None))


def entry() -> c_void_p:
    """Give where the code of `pool` begins."""
    return ctypes.cast(_code().pool_run, c_void_p)


@functools.cache
def _code() -> ctypes.CDLL:
    code = library(_SOURCE)
    code.pool_run.argtypes = (POINTER(Pool), POINTER(Call))
    return code
