"""What the code of this package is told of maps, and how it cuts a layer up."""

import ctypes
from ctypes import POINTER, c_int, c_long, c_void_p
from dataclasses import dataclass

import torch
from torch import Tensor

from convatlas.native.build import openmp

_WIDEST = 16  # floats of a vector


@dataclass(frozen=True, slots=True)
class Plan:
    """How a layer is cut up.

    Attributes:
        tile: Outputs a side of a tile, 2 or 4: F(2x2,3x3) or F(4x4,3x3) of Lavin & Gray 2016; 1: as
            a product of matrices, pixel by pixel.
        block: Tiles that go through all steps together, at most.
        together: All threads work on one block, which suits many maps; or each on its own.
    """

    tile: int
    block: int
    together: bool

    def __str__(self) -> str:
        if self == WHOLE:
            return "a line a thread"
        who = "by all threads" if self.together else "a thread"
        if self.tile == 1:
            return f"product, {self.block} pixels {who}"
        return f"F({self.tile}x{self.tile},3x3), {self.block} tiles {who}"


WHOLE = Plan(1, 1, False)  # of layers that the code cuts up by itself: into lines


class Maps(ctypes.Structure):
    """Where maps lie; none where nothing is given."""

    _fields_ = (
        ("data", c_void_p),
        *((name, c_long) for name in ("image", "row", "pixel")),
    )

    @classmethod
    def of(cls, x: Tensor | None) -> "Maps":
        """Give the place of maps whose channels are neighbours."""
        if x is None:
            return cls(None, 0, 0, 0)
        image, _, row, pixel = x.stride()
        return cls(x.data_ptr(), image, row, pixel)


class Call(ctypes.Structure):
    """What a layer is called with."""

    _fields_ = (
        *((name, c_long) for name in ("images", "height", "width", "out_height", "out_width")),
        *((name, Maps) for name in ("input", "added", "output")),
        ("parallel", c_void_p),
    )

    @classmethod
    def of(cls, x: Tensor, y: Tensor, added: Tensor | None) -> "Call":
        """Give the call that writes y, from x and perhaps what is added; on torch's threads."""
        sizes = (x.shape[0], *x.shape[2:], *y.shape[2:])
        return cls(*sizes, Maps.of(x), Maps.of(added), Maps.of(y), openmp())


_ENTRY = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(Call))


def run_layer(entry: c_void_p, layer: ctypes.Structure, call: Call) -> None:
    """Run one layer, by the code that begins there.

    Raises:
        MemoryError: There is none left for what it keeps aside.
    """
    if ctypes.cast(entry, _ENTRY)(ctypes.addressof(layer), call):
        raise MemoryError("a layer found no memory for its pixels")


def padded(maps: int, lanes: int) -> int:
    """Round a number of maps up to whole vectors of a processor."""
    return -(-maps // lanes) * lanes


def padded_bias(bias: Tensor | None, maps: int) -> Tensor:
    """Give the bias of a layer, or zeros, in float32 and whole vectors of any processor."""
    found = torch.zeros(padded(maps, _WIDEST), dtype=torch.float32, device="cpu")
    if bias is not None:
        found[:maps] = bias.detach()
    return found
