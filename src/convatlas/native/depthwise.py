"""What depthwise.cpp is told: filters of single maps, and gates; of float32."""

import ctypes
import functools
from ctypes import c_long, c_void_p

from torch import Tensor, nn

from convatlas.native.build import FOLDER, library
from convatlas.native.maps import padded

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
    """Filters of single maps as a layer of their own; for a gate, the number of maps alone."""

    _fields_ = (("channels", c_long), ("threads", c_long), ("how", Depthwise))


def in_vectors(weight: Tensor) -> Tensor:
    """Lay out filters (channels, 1, rows, columns) as `Depthwise` has them, in float32."""
    channels = weight.shape[0]
    rows = weight.float().permute(2, 3, 1, 0).flatten(0, 2)
    return nn.functional.pad(rows, (0, padded(channels, lanes()) - channels)).contiguous()


@functools.cache
def lanes() -> int:
    """Give how many floats a vector of this processor has."""
    return library(_SOURCE).depthwise_lanes()


@functools.cache
def entry() -> c_void_p:
    """Give where the code begins that `run_layer` runs."""
    return ctypes.cast(library(_SOURCE).depthwise_run, c_void_p)


@functools.cache
def gate_entry() -> c_void_p:
    """Give where the code begins that `run_layer` runs."""
    return ctypes.cast(library(_SOURCE).gate_run, c_void_p)
