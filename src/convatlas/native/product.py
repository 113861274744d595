"""Calls of product.cpp, on tensors whose channels lie last. Sizes are checked by those who call."""

import ctypes
import functools
from ctypes import POINTER, c_long, c_void_p

import torch
from torch import Tensor, nn

from convatlas.native.build import FOLDER, library
from convatlas.native.depthwise import Depthwise
from convatlas.native.maps import Call, padded

_SOURCE = FOLDER / "product.cpp"


class Product(ctypes.Structure):
    """A convolution or linear layer: its weights, and how it is computed; filters before it."""

    _fields_ = (
        ("weights", c_void_p),
        ("bias", c_void_p),
        *((name, c_long) for name in ("channels", "maps", "high", "wide", "down", "right")),
        *((name, c_long) for name in ("pad_top", "pad_left", "block", "together")),
        *((name, c_long) for name in ("activation", "threads", "halves")),
        ("before", Depthwise),
    )


def multiply(layer: Product, x: Tensor, y: Tensor, added: Tensor | None = None) -> None:
    """Convolve maps (N, channels, H, W) into (N, maps, H', W'), and add others to them.

    Raises:
        MemoryError: There is none left for a block of pixels.
    """
    if _code().product_run(layer, Call.of(x, y, added)):
        raise MemoryError("a convolution found no memory for its pixels")


def in_panels(weight: Tensor) -> Tensor:
    """Lay out filters (maps, channels, rows, columns) as `multiply` takes them, in one row."""
    maps, panel = weight.shape[0], _code().product_panel()
    rows = weight.permute(0, 2, 3, 1).flatten(1)
    rows = nn.functional.pad(rows, (0, 0, 0, padded(maps, lanes()) - maps))
    whole = len(rows) // panel * panel
    panels = rows[:whole].view(-1, panel, rows.shape[1]).transpose(1, 2)
    return torch.cat([panels.flatten(), rows[whole:].t().flatten()])


def lanes() -> int:
    """Give how many floats a vector of this processor has."""
    return _code().product_lanes()


def entry() -> c_void_p:
    """Give where the code of `multiply` begins."""
    return ctypes.cast(_code().product_run, c_void_p)


@functools.cache
def _code() -> ctypes.CDLL:
    code = library(_SOURCE)
    code.product_run.argtypes = (POINTER(Product), POINTER(Call))
    return code
