"""What pool.cpp is told: poolings."""

import ctypes
import functools
from ctypes import c_long, c_void_p

from convatlas.native.build import FOLDER, library

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


@functools.cache
def entry() -> c_void_p:
    """Give where the code begins that `run_layer` runs."""
    return ctypes.cast(library(_SOURCE).pool_run, c_void_p)
