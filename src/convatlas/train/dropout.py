"""Dropout that draws several of its coins at once, while a network learns."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_LEAST_VALUES = 2**14  # fewer take no time


@dataclass(frozen=True, slots=True)
class Dropout:
    """An `nn.Dropout`: Srivastava et al. 2014, kept values scaled by 1 / (1 - p).

    torch draws a number for each value, on one thread. Here each random number of 64 bits is eight
    coins where `p` is a multiple of 1/256, and two of 2^-32 otherwise.
    """

    layer: Any

    def __call__(self, x: Tensor) -> Tensor:
        """(*) -> the same, some values 0."""
        layer = self.layer
        ours = x.device.type == "cpu" and x.numel() >= _LEAST_VALUES and 0 < layer.p < 1
        if not layer.training or not ours:
            return type(layer).forward(layer, x)
        return _Dropout.apply(x, layer.p)


def find_dropouts(model: nn.Module) -> list[Dropout]:
    """List the dropouts of a network that write anew."""
    modules = model.modules()
    return [Dropout(one) for one in modules if type(one) is nn.Dropout and not one.inplace]


class _Dropout(torch.autograd.Function):
    """Keeps a byte for each value."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        """Give what is kept, scaled."""
        last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
        x = x if last else x.contiguous()
        kept = _kept(x.numel(), p).as_strided(x.shape, x.stride())  # as x lies in memory
        ctx.save_for_backward(kept)
        ctx.scale = 1 / (1 - p)
        return (x * kept).mul_(ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Give the gradient of x."""
        (kept,) = ctx.saved_tensors
        return (gradient * kept).mul_(ctx.scale), None


def _kept(count: int, p: float) -> Tensor:
    """Draw which of so many values stay."""
    fine = p * 256 != int(p * 256)
    each = 2 if fine else 8
    words = torch.empty(-(-count // each), dtype=torch.int64, device="cpu").random_(-(2**63), None)
    if fine:
        return words.view(torch.int32)[:count] >= round(p * 2**32) - 2**31
    return words.view(torch.uint8)[:count] >= int(p * 256)
