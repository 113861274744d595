"""Dense blocks whose maps lie in one place from the first layer on, while a network learns."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convatlas.architectures.densenet import DenseLayer
from convatlas.train.adjacent import has_hooks
from convatlas.train.native_code import can_build
from convatlas.train.norm_act import (
    is_plain_norm,
    learns_here,
    norm_call,
    run_backward,
    run_forward,
)


@dataclass(frozen=True, slots=True)
class DenseBlock:
    """A sequence of `DenseLayer`.

    Every layer writes its maps behind those before it, and adds its gradient to that of all that
    it read: nothing is concatenated, and a gradient is nowhere added up in a new place. Mean and
    variance of a map are found once, for all batch norms that read it.
    """

    block: Any

    def __call__(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, in + layers * growth rate, H, W)."""
        layers = [layer.composite for layer in self.block]
        first, *others = (layer[0] for layer in layers)
        ready = all(norm.training and norm.weight.dtype == torch.float32 for norm in others)
        if not ready or not learns_here(first, x) or any(map(has_hooks, self.block.modules())):
            return type(self.block).forward(self.block, x)
        room = _Room(x, x.shape[1] + sum(_growth(layer) for layer in layers))
        y = _Enter.apply(x, room)
        for norm, _, *rest in layers:
            new = _NormAct.apply(y, norm.weight, norm.bias, norm, room)
            for layer in rest:
                new = layer(new)
            y = _Append.apply(y, new, room)
        return y


def find_dense_blocks(model: nn.Module) -> list[DenseBlock]:
    """List the dense blocks of a network; none where there is no C++ compiler."""
    found = [DenseBlock(module) for module in model.modules() if _is_dense(module)]
    return found if found and can_build("norm_act") else []


def _is_dense(module: nn.Module) -> bool:
    if type(module) is not nn.Sequential or not len(module):
        return False
    return all(type(layer) is DenseLayer and _begins_plainly(layer) for layer in module)


def _begins_plainly(layer: DenseLayer) -> bool:
    norm, act, *_ = layer.composite
    return is_plain_norm(norm) and type(act) is nn.ReLU


def _growth(composite: nn.Sequential) -> int:
    """Count the maps that a layer adds."""
    return [one for one in composite if isinstance(one, nn.Conv2d)][-1].out_channels


class _Room:
    """Where the maps of a block lie, and on the way back their gradients.

    Attributes:
        maps: (N, C, H, W), channels last.
        moments: (2, C), means and variances of the maps.
        known: Maps whose mean and variance are there.
        gradient: As `maps`; None before the way back.
    """

    def __init__(self, x: Tensor, channels: int) -> None:
        size = (len(x), channels, *x.shape[2:])
        last = torch.channels_last
        self.maps = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=last)
        self.moments = torch.empty(2, channels, dtype=torch.float64, device=x.device)
        self.known = 0
        self.gradient: Tensor | None = None


class _Enter(torch.autograd.Function):
    """Copies the maps that enter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, room: _Room) -> Tensor:
        """Give the first maps of the room."""
        ctx.room = room
        first = room.maps[:, : x.shape[1]]
        return first.copy_(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Give the gradient of x."""
        ctx.room.gradient = None  # nobody else needs it, and the loss keeps the room
        return gradient, None


class _NormAct(torch.autograd.Function):
    """Batch norm and ReLU of all maps so far."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        _: Tensor,
        norm: Any,
        room: _Room,
    ) -> Tensor:
        """Give them activated, in a place of their own."""
        y = torch.empty_like(x, memory_format=torch.channels_last)
        found = weight.new_empty(4, len(weight))
        call = norm_call(x, out=y, found=found)
        call.known = room.known
        run_forward(call, norm, room.moments)
        room.known = x.shape[1]
        ctx.save_for_backward(found)
        ctx.room = room  # not saved: others have written behind these maps by then
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """Add to the gradient of all maps so far, and give it."""
        (found,) = ctx.saved_tensors
        x, sums = (one[:, : found.shape[1]] for one in (ctx.room.maps, ctx.room.gradient))
        weight, bias = found.new_empty(2, found.shape[1])
        call = norm_call(x, out=sums, found=found)
        call.adds = True
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        run_backward(call, gradient, weight, bias)
        return sums, weight, bias, None, None


class _Append(torch.autograd.Function):
    """Writes new maps behind those that are there."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, new: Tensor, room: _Room) -> Tensor:
        """Give all of them."""
        ctx.first, ctx.end, ctx.room = x.shape[1], x.shape[1] + new.shape[1], room
        room.maps[:, ctx.first : ctx.end].copy_(new)
        return room.maps[:, : ctx.end]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        """Give the gradient of the new maps; the norm that read the others gives theirs."""
        if ctx.end == ctx.room.maps.shape[1]:  # the last of the block, and the first to come back
            ctx.room.gradient = gradient.clone(memory_format=torch.channels_last)
        return None, ctx.room.gradient[:, ctx.first : ctx.end], None
