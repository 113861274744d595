"""Batch norm and what follows it as one operation, while a network learns."""

import ctypes
from ctypes import c_double, c_long, c_void_p
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convatlas.architectures.resnet import BasicBlock, Bottleneck
from convatlas.train.adjacent import Line, adjacent
from convatlas.train.native_code import can_build, can_take, even_rows, native_function, threads


@dataclass(frozen=True, slots=True)
class NormAct:
    """A batch norm and the activation that follows it.

    Attributes:
        norm: An `nn.BatchNorm2d`.
        act: An `nn.ReLU` or `nn.SiLU`.
        ended: Sequences that the norm ends.
    """

    norm: Any
    act: Any
    ended: Line = ()

    @property
    def hidden(self) -> Line:
        """Modules that give something else meanwhile."""
        return self.norm, self.act, *self.ended

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same, normalised and activated."""
        norm, act = self.norm, self.act
        if not learns_here(norm, x):
            return type(act).forward(act, type(norm).forward(norm, x))
        return _Norm.apply(x, norm.weight, norm.bias, None, norm, isinstance(act, nn.SiLU))


@dataclass(frozen=True, slots=True)
class NormSum:
    """A residual block: the batch norm that ends its branch, the sum and the ReLU are one.

    Attributes:
        block: A `BasicBlock` or `Bottleneck` with a shortcut.
        norm: The last layer of its branch, an `nn.BatchNorm2d`, which does nothing meanwhile.
    """

    block: Any
    norm: Any

    @property
    def hidden(self) -> Line:
        """Modules that give something else meanwhile."""
        return (self.norm,)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride), as the block does."""
        block, norm = self.block, self.norm
        y = block.branch(x)
        x = block.shortcut(x)
        if not learns_here(norm, y) or x.shape != y.shape or x.dtype != y.dtype:
            return block.act(type(norm).forward(norm, y) + x)
        return _Norm.apply(y, norm.weight, norm.bias, x, norm, False)


def find_pairs(model: nn.Module) -> list[NormAct]:
    """List the batch norms of a network that one operation can compute with what follows them.

    None where there is no C++ compiler, or the norms are of another kind.
    """
    found = []
    for norm, act, ended in adjacent(model):
        if is_plain_norm(norm) and type(act) in (nn.ReLU, nn.SiLU) and not act.inplace:
            found.append(NormAct(norm, act, ended))
    return found if found and can_build("norm_act") else []


def find_sums(model: nn.Module) -> list[NormSum]:
    """List the residual blocks of a network whose end one operation can compute, likewise."""
    found = []
    for block in model.modules():
        if type(block) in (BasicBlock, Bottleneck) and block.shortcut is not None:
            last = block.get_submodule("conv2" if type(block) is BasicBlock else "restore")
            norm = last.get_submodule("norm")
            if is_plain_norm(norm):
                found.append(NormSum(block, norm))
    return found if found and can_build("norm_act") else []


def is_plain_norm(norm: nn.Module) -> bool:
    """Say whether it is torch's batch norm with all that the papers' have."""
    if type(norm) is not nn.BatchNorm2d or norm.momentum is None:
        return False
    tensors = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return all(one is not None and one.dtype == torch.float32 for one in tensors)


def learns_here(norm: Any, x: Tensor) -> bool:
    """Say whether it learns from maps that we compute; torch refuses those of one value."""
    fits = can_take(x) and x.shape[1] == norm.num_features and norm.weight.dtype == torch.float32
    return norm.training and fits and x.numel() > x.shape[1]


class _Norm(torch.autograd.Function):
    """Keeps its input, and the output of a sum; the rest is computed again on the way back."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        _: Tensor,
        other: Tensor | None,
        norm: Any,
        silu: bool,
    ) -> Tensor:
        """Give the activated maps, channels last, and move the norm's running statistics."""
        x = x.contiguous(memory_format=torch.channels_last)
        y, found = torch.empty_like(x), weight.new_empty(4, len(weight))
        if other is not None:
            other = other.contiguous(memory_format=torch.channels_last)
        call = norm_call(x, out=y, found=found, other=other)
        call.silu = silu
        moments = torch.empty(2, len(weight), dtype=torch.float64, device=x.device)
        run_forward(call, norm, moments)
        ctx.save_for_backward(x, found, *(() if other is None else (y,)))
        ctx.silu = silu
        return y

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None, None, None]:
        """Give the gradients of x, weight, bias and what was added."""
        x, found, *sums = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        result, weight, bias = torch.empty_like(x), *found.new_empty(2, found.shape[1])
        other = torch.empty_like(x) if sums else None
        call = norm_call(x, out=result, found=found, other=other)
        call.silu, call.y = ctx.silu, sums[0].data_ptr() if sums else None
        run_backward(call, gradient, weight, bias)
        return result, weight, bias, other, None, None


class _Call(ctypes.Structure):
    """The `NormCall` of norm_act.cpp."""

    _fields_ = (
        *((name, c_long) for name in ("rows", "channels", "wide", "known", "threads")),
        *((name, c_long) for name in ("half", "silu", "adds")),
        *((name, c_void_p) for name in ("x", "given", "y", "out", "other", "weight", "bias")),
        *((name, c_void_p) for name in ("running_mean", "running_variance", "found")),
        *((name, c_void_p) for name in ("weight_gradient", "bias_gradient", "mean", "variance")),
        *((name, c_double) for name in ("eps", "momentum")),
        ("parallel", c_void_p),
    )


def norm_call(x: Tensor, *, out: Tensor, found: Tensor, other: Tensor | None = None) -> Any:
    """Fill in what both directions need; `found`: (4, C) floats that the first leaves the second.

    The pixels of `x` are evenly apart; see `convatlas.train.native_code.even_rows`.
    """
    call: Any = _Call()
    call.channels, call.wide = x.shape[1], even_rows(x).stride(3)
    call.rows = x.numel() // x.shape[1]
    call.threads, call.parallel = threads()
    call.half = x.dtype == torch.bfloat16
    call.x, call.out, call.found = x.data_ptr(), out.data_ptr(), found.data_ptr()
    call.other = None if other is None else other.data_ptr()
    return call


def run_forward(call: Any, norm: Any, moments: Tensor) -> None:
    """Normalise and activate, and move the running statistics.

    Args:
        call: What, from where, to where.
        norm: An `nn.BatchNorm2d`.
        moments: (2, C), float64: means and variances; those of the first `call.known` are given.
    """
    call.weight, call.bias = norm.weight.data_ptr(), norm.bias.data_ptr()
    call.running_mean = norm.running_mean.data_ptr()
    call.running_variance = norm.running_var.data_ptr()
    call.eps, call.momentum = norm.eps, norm.momentum
    call.mean, call.variance = (one.data_ptr() for one in moments)
    native_function("norm_act", "norm_act_forward")(ctypes.byref(call))
    norm.num_batches_tracked.add_(1)


def run_backward(call: Any, gradient: Tensor, weight: Tensor, bias: Tensor) -> None:
    """Take a gradient back, and write those of weight and bias."""
    call.given = gradient.data_ptr()
    call.weight_gradient, call.bias_gradient = weight.data_ptr(), bias.data_ptr()
    native_function("norm_act", "norm_act_backward")(ctypes.byref(call))
