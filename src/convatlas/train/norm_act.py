"""Batch norm and what follows it as one operation, while a network learns."""

import ctypes
from ctypes import c_double, c_long, c_void_p
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convatlas.architectures.resnet import BasicBlock, Bottleneck
from convatlas.train.adjacent import adjacent
from convatlas.train.native_code import TYPES, can_build, native_function, threads


@dataclass(frozen=True, slots=True)
class NormAct:
    """A batch norm and the activation that follows it.

    Attributes:
        norm: An `nn.BatchNorm2d`.
        act: An `nn.ReLU` or `nn.SiLU`.
    """

    norm: Any
    act: Any

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same, normalised and activated."""
        norm, act = self.norm, self.act
        if not _is_ours(norm, x):
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

    def __call__(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride), as the block does."""
        block, norm = self.block, self.norm
        y = block.branch(x)
        x = block.shortcut(x)
        if not _is_ours(norm, y) or x.shape != y.shape or x.dtype != y.dtype:
            return block.act(type(norm).forward(norm, y) + x)
        return _Norm.apply(y, norm.weight, norm.bias, x, norm, False)


def find_pairs(model: nn.Module) -> list[NormAct]:
    """List the batch norms of a network that one operation can compute with what follows them.

    None where there is no C++ compiler, or the norms are of another kind.
    """
    found = []
    for norm, act in adjacent(model):
        if _is_plain(norm) and type(act) in (nn.ReLU, nn.SiLU) and not act.inplace:
            found.append(NormAct(norm, act))
    return found if found and can_build("norm_act") else []


def find_sums(model: nn.Module) -> list[NormSum]:
    """List the residual blocks of a network whose end one operation can compute, likewise."""
    found = []
    for block in model.modules():
        if type(block) in (BasicBlock, Bottleneck) and block.shortcut is not None:
            last = block.get_submodule("conv2" if type(block) is BasicBlock else "restore")
            norm = last.get_submodule("norm")
            if _is_plain(norm):
                found.append(NormSum(block, norm))
    return found if found and can_build("norm_act") else []


def _is_plain(norm: nn.Module) -> bool:
    """Say whether it is torch's batch norm with all that the papers' have."""
    if type(norm) is not nn.BatchNorm2d or norm.momentum is None:
        return False
    tensors = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return all(one is not None and one.dtype == torch.float32 for one in tensors)


def _is_ours(norm: Any, x: Tensor) -> bool:
    """Say whether it learns from maps that we compute; torch refuses those of one value."""
    on_cpu = x.device.type == "cpu" and x.dtype in TYPES and x.dim() == 4
    return norm.training and on_cpu and x.numel() > x.shape[1]


class _Norm(torch.autograd.Function):
    """Keeps its input, and the output of a sum; the rest is computed again on the way back."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        other: Tensor | None,
        norm: Any,
        silu: bool,
    ) -> Tensor:
        """Give the activated maps, channels last, and move the norm's running statistics."""
        x = x.contiguous(memory_format=torch.channels_last)
        y, found = torch.empty_like(x), weight.new_empty(4, len(weight))
        if other is not None:
            other = other.contiguous(memory_format=torch.channels_last)
        call = _call(x, silu, out=y, found=found, other=other)
        call.weight, call.bias = weight.data_ptr(), bias.data_ptr()
        call.running_mean = norm.running_mean.data_ptr()
        call.running_variance = norm.running_var.data_ptr()
        call.eps, call.momentum = norm.eps, norm.momentum
        native_function("norm_act", "norm_act_forward")(ctypes.byref(call))
        norm.num_batches_tracked.add_(1)
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
        call = _call(x, ctx.silu, out=result, found=found, other=other)
        call.given, call.y = gradient.data_ptr(), sums[0].data_ptr() if sums else None
        call.weight_gradient, call.bias_gradient = weight.data_ptr(), bias.data_ptr()
        native_function("norm_act", "norm_act_backward")(ctypes.byref(call))
        return result, weight, bias, other, None, None


class _Call(ctypes.Structure):
    """The `NormCall` of norm_act.cpp."""

    _fields_ = (
        *((name, c_long) for name in ("rows", "channels", "threads", "half", "silu")),
        *((name, c_void_p) for name in ("x", "given", "y", "out", "other", "weight", "bias")),
        *((name, c_void_p) for name in ("running_mean", "running_variance", "found")),
        *((name, c_void_p) for name in ("weight_gradient", "bias_gradient")),
        *((name, c_double) for name in ("eps", "momentum")),
        ("parallel", c_void_p),
    )


def _call(x: Tensor, silu: bool, *, out: Tensor, found: Tensor, other: Tensor | None) -> Any:
    call: Any = _Call()
    call.channels = x.shape[1]
    call.rows = x.numel() // x.shape[1]
    call.threads, call.parallel = threads()
    call.half, call.silu = x.dtype == torch.bfloat16, silu
    call.x, call.out, call.found = x.data_ptr(), out.data_ptr(), found.data_ptr()
    call.other = None if other is None else other.data_ptr()
    return call
