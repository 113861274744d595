"""What grouped.cpp is told: convolutions in groups."""

import ctypes
import functools
from ctypes import c_long, c_void_p

from torch import Tensor

from convatlas.native.build import FOLDER, library
from convatlas.native.depthwise import lanes

_SOURCE = FOLDER / "grouped.cpp"


class Grouped(ctypes.Structure):
    """A convolution in groups: its weights, and how it is computed."""

    _fields_ = (
        ("weights", c_void_p),
        ("bias", c_void_p),
        ("zeros", c_void_p),
        *((name, c_long) for name in ("maps", "group", "high", "down", "right")),
        *((name, c_long) for name in ("pad_top", "pad_left", "activation", "threads")),
    )


def in_blocks(weight: Tensor) -> Tensor:
    """Lay out filters (maps, channels of a group, rows, 3) as `Grouped` has them."""
    group, rows, columns = weight.shape[1:]
    within = min(group, lanes())
    blocks = weight.view(-1, block(group), group // within, within, rows, columns)
    return blocks.permute(0, 4, 2, 3, 5, 1).contiguous()


def block(group: int) -> int:
    """Give how many maps are computed at a time, where a group has so many."""
    return max(group, lanes())


@functools.cache
def entry() -> c_void_p:
    """Give where the code begins that `run_layer` runs."""
    return ctypes.cast(library(_SOURCE).grouped_run, c_void_p)
