"""Convolutions of 3x3 by Winograd's minimal filtering, and of 1x1: see native/winograd.cpp."""

import ctypes
import functools
from ctypes import POINTER, c_long, c_void_p
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.engines.native_arena import Arena, floats
from convatlas.engines.native_build import library
from convatlas.errors import InputError
from convatlas.native_build import openmp

CODE = "winograd"  # of native/
_ACTIVATIONS: dict[type[nn.Module], int] = {nn.ReLU: 1, nn.ReLU6: 2}  # fused by the code


class _Layer(ctypes.Structure):
    _fields_ = (
        ("weights", c_void_p),
        ("bias", c_void_p),
        *((name, c_long) for name in ("channels", "maps", "pad_top", "pad_left", "tile")),
        *((name, c_long) for name in ("block", "together", "activation", "threads", "halves")),
    )


class _Maps(ctypes.Structure):
    _fields_ = (
        ("data", c_void_p),
        *((name, c_long) for name in ("image", "row", "pixel")),
    )


class _Call(ctypes.Structure):
    _fields_ = (
        *((name, c_long) for name in ("images", "height", "width", "out_height", "out_width")),
        *((name, _Maps) for name in ("input", "added", "output")),
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """How a layer is cut up.

    Attributes:
        tile: Outputs a side of a tile, 2 or 4: F(2x2,3x3) or F(4x4,3x3) of the paper; 1 for 1x1.
        block: Tiles that go through all steps together, at most.
        together: All threads work on one block, which suits many maps; or each on its own.
    """

    tile: int
    block: int
    together: bool

    def __str__(self) -> str:
        who = "by all threads" if self.together else "a thread"
        kind = "1x1" if self.tile == 1 else f"F({self.tile}x{self.tile},3x3)"
        return f"{kind}, {self.block} tiles {who}"


def takes(conv: nn.Conv2d) -> bool:
    """Say whether a convolution can be computed so: 3x3 with stride 1, or 1x1; without groups."""
    how = (conv.groups, conv.dilation, conv.padding_mode)
    if how != (1, (1, 1), "zeros") or conv.weight.dtype not in (torch.float32, torch.bfloat16):
        return False
    if conv.kernel_size == (1, 1):
        return _padding(conv) == (0, 0)
    return conv.kernel_size == (3, 3) and conv.stride == (1, 1)


class WinogradConv(nn.Module):
    """A convolution, perhaps the sum with other maps, and perhaps an activation.

    It takes and gives maps of the type of its weights, and computes in float32.

    Args:
        conv: One that `takes` says yes to.
        act: What follows; ReLU and ReLU6 are fused in.
        plan: How it is cut up.
        arena: Where its outputs lie.
    """

    def __init__(
        self, conv: nn.Conv2d, act: nn.Module | None, plan: Plan, arena: Arena | None = None
    ) -> None:
        super().__init__()
        self.plan, self.maps, self.channels = plan, conv.out_channels, conv.in_channels
        self.arena = Arena() if arena is None else arena
        self.pad_top, self.pad_left = _padding(conv)
        self.reach, self.stride = conv.kernel_size[0] - 1, conv.stride
        self.dtype = conv.weight.dtype
        self.weight = nn.Parameter(_transformed(conv.weight.detach(), plan.tile), False)
        self.bias = nn.Parameter(_whole_vectors(conv), False)
        self.fused = 0 if act is None else _ACTIVATIONS.get(type(act), 0)
        self.act = None if self.fused else act

    def forward(self, x: Tensor, other: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """(N, in, H, W) -> (N, out, H', W'), channels last.

        Args:
            x: Maps; quickest with the channels last.
            other: Maps that are added before the activation.
            out: Where to write them: maps with the channels last, or a part of their channels.

        Raises:
            InputError: Another number of maps, or another type.
            MemoryError: There is none left for a block of tiles.
        """
        if x.shape[1] != self.channels or x.dtype != self.dtype:
            raise InputError(
                f"needs {self.channels} maps of {self.dtype}, not {list(x.shape)} of {x.dtype}"
            )
        x = _with_channels_last(x)
        if self.stride != (1, 1):  # of 1x1 alone
            x = x[:, :, :: self.stride[0], :: self.stride[1]]
        count, _, height, width = x.shape
        out_height = height + 2 * self.pad_top - self.reach
        out_width = width + 2 * self.pad_left - self.reach
        size = (count, self.maps, out_height, out_width)
        y = self.arena.images(size, self.dtype) if out is None else self._fitting(out, size)
        added = _NOTHING
        if other is not None:
            other = _with_channels_last(other)
            added = _maps(self._fitting(other, size))
        call = _Call(count, height, width, out_height, out_width, _maps(x), added, _maps(y))
        if _code().winograd_run(self._layer(), call, openmp()):
            raise MemoryError("a convolution found no memory for its tiles")
        if self.act is None:
            return y
        return self.act(y) if out is None else out.copy_(self.act(y))

    def extra_repr(self) -> str:
        """Tell channels, maps and how it is cut up."""
        return f"{self.channels}, {self.maps}, {self.plan}"

    def _layer(self) -> _Layer:
        plan = self.plan
        sizes = (self.channels, self.maps, self.pad_top, self.pad_left, plan.tile, plan.block)
        how = (plan.together, self.fused, torch.get_num_threads(), self.dtype == torch.bfloat16)
        return _Layer(self.weight.data_ptr(), self.bias.data_ptr(), *sizes, *how)

    def _fitting(self, x: Tensor, size: tuple[int, ...]) -> Tensor:
        near = x.stride(1) == 1 or size[1] == 1
        if tuple(x.shape) != size or not near or x.dtype != self.dtype:
            raise InputError(
                f"gives {list(size)} of {self.dtype}, channels last; that does not fit "
                f"{list(x.shape)} of {x.dtype}"
            )
        return x


_NOTHING = _Maps(None, 0, 0, 0)


def _maps(x: Tensor) -> _Maps:
    image, _, row, pixel = x.stride()
    return _Maps(x.data_ptr(), image, row, pixel)


def _with_channels_last(x: Tensor) -> Tensor:
    """Give maps whose channels are neighbours; parts of wider maps stay where they are."""
    if x.stride(1) == 1 or x.shape[1] == 1:
        return x
    return x.contiguous(memory_format=torch.channels_last)


def _padding(conv: nn.Conv2d) -> tuple[int, ...]:
    if isinstance(conv.padding, tuple):
        return conv.padding
    return (conv.kernel_size[0] // 2,) * 2 if conv.padding == "same" else (0, 0)


def _transformed(weight: Tensor, tile: int) -> Tensor:
    maps, channels, taps = weight.shape[:3]
    plain = weight.float().contiguous()
    found = floats((tile + taps - 1) ** 2 * channels * _padded(maps))
    how = (maps, channels, tile, torch.get_num_threads(), openmp())
    _code().winograd_weights(plain.data_ptr(), found.data_ptr(), *how)
    return found


def _whole_vectors(conv: nn.Conv2d) -> Tensor:
    bias = torch.zeros(_padded(conv.out_channels))
    if conv.bias is not None:
        bias[: conv.out_channels] = conv.bias.detach()
    return bias


def _padded(maps: int) -> int:
    lanes = _code().winograd_lanes()
    return -(-maps // lanes) * lanes


@functools.cache
def _code() -> ctypes.CDLL:
    code = library(CODE)
    code.winograd_weights.argtypes = (c_void_p, c_void_p, *[c_long] * 4, c_void_p)
    code.winograd_weights.restype = None
    code.winograd_run.argtypes = (POINTER(_Layer), POINTER(_Call), c_void_p)
    return code
