"""Layers by the code of `convatlas.native`: what is common to them."""

import ctypes
from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from convatlas.engines.native_arena import Arena
from convatlas.errors import InputError
from convatlas.native.maps import Call, Plan, run_layer

_MOST_ROWS, _MOST_RIGHT = 7, 2  # of filters, and from one output to the next: see windows.h
# what the code does itself
_ACTIVATIONS: dict[type[nn.Module], int] = {nn.ReLU: 1, nn.ReLU6: 2, nn.SiLU: 3, nn.Sigmoid: 4}


class NativeLayer(nn.Module):
    """A convolution, perhaps the sum with other maps, and perhaps an activation.

    It takes and gives maps of the type of its weights, and computes in float32.

    Args:
        conv: With a padding of numbers.
        act: What follows; ReLU, ReLU6, SiLU and sigmoid are fused in.
        plan: How it is cut up.
        arena: Where its outputs lie.

    Attributes:
        adds: Whether the code adds other maps.
    """

    adds: ClassVar[bool] = True

    def __init__(
        self, conv: nn.Conv2d, act: nn.Module | None, plan: Plan, arena: Arena | None = None
    ) -> None:
        super().__init__()
        self.plan, self.maps, self.channels = plan, conv.out_channels, conv.in_channels
        self.arena = Arena() if arena is None else arena
        self.kernel, self.stride, self.padding = conv.kernel_size, conv.stride, padding(conv)
        self.dtype = conv.weight.dtype
        self.fused = fused(act)
        self.act = None if self.fused else act

    def forward(self, x: Tensor, other: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """(N, in, H, W) -> (N, out, H', W'), channels last.

        Args:
            x: Maps; quickest with the channels last.
            other: Maps that are added before the activation.
            out: Where to write them: maps with the channels last, or a part of their channels.

        Raises:
            InputError: Another number of maps, another type, maps smaller than the filters, or
                others to add where the code adds none.
            MemoryError: There is none left for a block of tiles.
        """
        self.check(x)
        size = (len(x), self.maps, self._side(x, 0), self._side(x, 1))
        if min(size[2:]) < 1:
            raise InputError(f"filters of {self.kernel} see nothing of maps of {list(x.shape)}")
        y = self.arena.images(size, self.dtype) if out is None else self.fitting(out, size)
        if other is not None:
            if not self.adds:
                raise InputError(f"{type(self).__name__} adds no maps to its own")
            other = self.fitting(with_channels_last(other), size)
        self.run(with_channels_last(x), y, other)
        if self.act is None:
            return y
        return self.act(y) if out is None else out.copy_(self.act(y))

    def run(self, x: Tensor, y: Tensor, other: Tensor | None) -> None:
        """Compute y of x, and other maps that are added; channels last."""
        run_layer(self.entry(), self.layer(), Call.of(x, y, other))

    @abstractmethod
    def layer(self) -> ctypes.Structure:
        """Tell the code what it is: its tensors, which must stay, and its plan."""

    @abstractmethod
    def entry(self) -> ctypes.c_void_p:
        """Give where its code begins, which takes that and a `Call`."""

    def extra_repr(self) -> str:
        """Tell channels, maps and how it is cut up."""
        return f"{self.channels}, {self.maps}, {self.plan}"

    def _side(self, x: Tensor, axis: int) -> int:
        free = x.shape[2 + axis] + 2 * self.padding[axis] - self.kernel[axis]
        return free // self.stride[axis] + 1

    def check(self, x: Tensor) -> None:
        """Refuse another number of maps, or another type."""
        if x.shape[1] != self.channels or x.dtype != self.dtype:
            raise InputError(
                f"needs {self.channels} maps of {self.dtype}, not {list(x.shape)} of {x.dtype}"
            )

    def fitting(self, x: Tensor, size: tuple[int, ...]) -> Tensor:
        """Give maps that the code can write to or add, of a size; refuse others."""
        near = x.stride(1) == 1 or size[1] == 1
        if tuple(x.shape) != size or not near or x.dtype != self.dtype:
            raise InputError(
                f"gives {list(size)} of {self.dtype}, channels last; that does not fit "
                f"{list(x.shape)} of {x.dtype}"
            )
        return x


def fused(act: nn.Module | None) -> int:
    """Give the number of an activation that the code does; 0: none, or another one."""
    return 0 if act is None else _ACTIVATIONS.get(type(act), 0)


def takes(conv: nn.Conv2d, groups: int = 1) -> bool:
    """Say whether the code computes such a convolution: no dilation, zeros outside.

    As many of them at both sides: filters of an even size that keep the maps' see one more behind.
    """
    how = (conv.groups, conv.dilation, conv.padding_mode)
    even = conv.padding != "same" or all(side % 2 for side in conv.kernel_size)
    known = conv.weight.dtype in (torch.float32, torch.bfloat16)
    return how == (groups, (1, 1), "zeros") and even and known


def in_windows(conv: nn.Conv2d, *columns: int) -> bool:
    """Say whether windows.h has what such filters see: of so many columns, not too high or far."""
    rows, wide = conv.kernel_size
    return wide in columns and rows <= _MOST_ROWS and conv.stride[1] <= _MOST_RIGHT


def padding(conv: nn.Conv2d) -> tuple[int, ...]:
    """Give the rows above and the columns at the left of maps that a convolution takes as zeros."""
    if isinstance(conv.padding, tuple):
        return conv.padding
    return tuple(side // 2 if conv.padding == "same" else 0 for side in conv.kernel_size)


def with_channels_last(x: Tensor) -> Tensor:
    """Give maps whose channels are neighbours; parts of wider maps stay where they are."""
    if x.stride(1) == 1 or x.shape[1] == 1:
        return x
    return x.contiguous(memory_format=torch.channels_last)
