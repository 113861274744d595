"""Convolutions of 3x3 by Winograd's minimal filtering, and of 1x1: see native/winograd.cpp."""

import torch
from torch import Tensor, nn

from convatlas.engines.native_arena import Arena, floats
from convatlas.errors import InputError
from convatlas.native.winograd import (
    Layer,
    Plan,
    convolve,
    padded_bias,
    transform,
    transformed_size,
)

_ACTIVATIONS: dict[type[nn.Module], int] = {nn.ReLU: 1, nn.ReLU6: 2}  # fused by the code


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
        self.bias = nn.Parameter(padded_bias(conv.bias, conv.out_channels), False)
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
        if other is not None:
            other = self._fitting(_with_channels_last(other), size)
        convolve(self._layer(), x, y, other)
        if self.act is None:
            return y
        return self.act(y) if out is None else out.copy_(self.act(y))

    def extra_repr(self) -> str:
        """Tell channels, maps and how it is cut up."""
        return f"{self.channels}, {self.maps}, {self.plan}"

    def _layer(self) -> Layer:
        plan = self.plan
        sizes = (self.channels, self.maps, self.pad_top, self.pad_left, plan.tile, plan.block)
        how = (plan.together, self.fused, torch.get_num_threads(), self.dtype == torch.bfloat16)
        return Layer(self.weight.data_ptr(), self.bias.data_ptr(), *sizes, *how)

    def _fitting(self, x: Tensor, size: tuple[int, ...]) -> Tensor:
        near = x.stride(1) == 1 or size[1] == 1
        if tuple(x.shape) != size or not near or x.dtype != self.dtype:
            raise InputError(
                f"gives {list(size)} of {self.dtype}, channels last; that does not fit "
                f"{list(x.shape)} of {x.dtype}"
            )
        return x


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
    found = floats(transformed_size(weight, tile))
    transform(weight.float(), found, tile)
    return found
