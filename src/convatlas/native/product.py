"""What product.cpp is told: products of matrices, with filters of single maps before them."""

import ctypes
import functools
from ctypes import c_long, c_void_p

import torch
from torch import Tensor, nn

from convatlas.native.build import FOLDER, library
from convatlas.native.depthwise import Depthwise, lanes
from convatlas.native.maps import padded

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


def in_panels(weight: Tensor) -> Tensor:
    """Lay out filters (maps, channels, rows, columns) as `Product` has them, in one row."""
    maps, panel = weight.shape[0], _panel()
    rows = weight.permute(0, 2, 3, 1).flatten(1)
    rows = nn.functional.pad(rows, (0, 0, 0, padded(maps, lanes()) - maps))
    whole = len(rows) // panel * panel
    panels = rows[:whole].view(-1, panel, rows.shape[1]).transpose(1, 2)
    return torch.cat([panels.flatten(), rows[whole:].t().flatten()])


@functools.cache
def entry() -> c_void_p:
    """Give where the code begins that `run_layer` runs."""
    return ctypes.cast(library(_SOURCE).product_run, c_void_p)


@functools.cache
def _panel() -> int:
    return library(_SOURCE).product_panel()
