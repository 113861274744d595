"""Squeeze-and-excitation whose gradients are computed in two passes, while a network learns."""

import ctypes
from ctypes import c_long, c_void_p
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convatlas.architectures.efficientnet import SqueezeExcite
from convatlas.train.adjacent import Line
from convatlas.train.native_code import can_build, can_take, even_rows, native_function, threads

_PART = 2**15  # values of an image that are summed up together


@dataclass(frozen=True, slots=True)
class Gate:
    """A `SqueezeExcite`, whose maps go two ways: torch would add up the gradients of both."""

    block: Any

    @property
    def hidden(self) -> Line:
        """What is not called: the pooling."""
        return (self.block.pool,)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same, weighed."""
        block = self.block
        if not can_take(x) or x.numel() == 0:
            return type(block).forward(block, x)
        x, mean = _Squeeze.apply(x)
        weights = block.gate(block.expand(block.act(block.reduce(mean))))
        return _Excite.apply(x, weights.to(x.dtype))


def find_gates(model: nn.Module) -> list[Gate]:
    """List the gates of a network; none where there is no C++ compiler."""
    found = [Gate(one) for one in model.modules() if type(one) is SqueezeExcite]
    return found if found and can_build("gate") else []


class _Squeeze(torch.autograd.Function):
    """Gives the maps as they are, and their means."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give the maps, channels last, and (N, C, 1, 1)."""
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.pixels = x.shape[2] * x.shape[3]
        return x.view_as(x), x.mean((2, 3), keepdim=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, of_mean: Tensor) -> Tensor:
        """Add what each pixel got by the mean; in place, for only `_Excite` has seen it."""
        return gradient.add_(of_mean, alpha=1 / ctx.pixels)


class _Excite(torch.autograd.Function):
    """Keeps the maps and their weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor) -> Tensor:
        """Give the maps times their weights."""
        ctx.save_for_backward(x, weights)
        return x * weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Give the gradients of the maps and of the weights."""
        x, weights = ctx.saved_tensors
        images, channels, height, width = x.shape
        gradient, result, call = even_rows(gradient), torch.empty_like(x), _Call()
        weights = weights.flatten(1).contiguous()
        parts = max(1, height * width * channels // _PART)
        sums = torch.empty(images, parts, channels, dtype=torch.float32, device="cpu")
        call.images, call.pixels, call.channels = images, height * width, channels
        call.given_row, call.parts = gradient.stride(3), parts
        call.half = x.dtype == torch.bfloat16
        call.threads, call.parallel = threads()
        call.x, call.given, call.out = x.data_ptr(), gradient.data_ptr(), result.data_ptr()
        call.weights, call.sums = weights.data_ptr(), sums.data_ptr()
        native_function("gate", "gate_backward")(ctypes.byref(call))
        return result, sums.sum(1).to(x.dtype)[:, :, None, None]


class _Call(ctypes.Structure):
    """The `GateCall` of gate.cpp."""

    _fields_ = (
        *((name, c_long) for name in ("images", "pixels", "channels", "given_row", "parts")),
        *((name, c_long) for name in ("threads", "half")),
        *((name, c_void_p) for name in ("x", "given", "weights", "out", "sums", "parallel")),
    )
