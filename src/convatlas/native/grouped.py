"""Calls of grouped.cpp, on tensors whose channels lie last. Sizes are checked by those who call."""

import ctypes
import functools
from ctypes import POINTER, c_long, c_void_p

from torch import Tensor

from convatlas.native.build import FOLDER, library
from convatlas.native.maps import Call

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


def convolve(layer: Grouped, x: Tensor, y: Tensor) -> None:
    """Convolve maps (N, maps, H, W) into (N, maps, H', W')."""
    _code().grouped_run(layer, Call.of(x, y, None))


def in_blocks(weight: Tensor) -> Tensor:
    """Lay out filters (maps, channels of a group, rows, 3) as `convolve` takes them."""
    group, rows, columns = weight.shape[1:]
    within = min(group, lanes())
    blocks = weight.view(-1, block(group), group // within, within, rows, columns)
    return blocks.permute(0, 4, 2, 3, 5, 1).contiguous()


def block(group: int) -> int:
    """Give how many maps are computed at a time, where a group has so many."""
    return max(group, lanes())


def lanes() -> int:
    """Give how many floats a vector of this processor has."""
    return _code().grouped_lanes()


def entry() -> c_void_p:
    """Give where the code of `convolve` begins."""
    return ctypes.cast(_code().grouped_run, c_void_p)


@functools.cache
def _code() -> ctypes.CDLL:
    code = library(_SOURCE)
    code.grouped_run.argtypes = (POINTER(Grouped), POINTER(Call))
    return code
