"""Local response normalisation in one pass over the maps each way, while a network learns."""

import ctypes
from ctypes import c_double, c_long, c_void_p
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convatlas.layers import LocalResponseNorm
from convatlas.train.native_code import can_build, can_take, even_rows, native_function, threads

_BETA = 0.75  # of every paper


@dataclass(frozen=True, slots=True)
class ResponseNorm:
    """A `LocalResponseNorm` with the exponent 3/4."""

    norm: Any

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same, normalised."""
        if not can_take(x):
            return type(self.norm).forward(self.norm, x)
        return _Normalize.apply(x, self.norm)


def find_response_norms(model: nn.Module) -> list[ResponseNorm]:
    """List the local response norms of a network; none where there is no C++ compiler."""
    norms = [one for one in model.modules() if type(one) is LocalResponseNorm]
    found = [ResponseNorm(norm) for norm in norms if norm.beta == _BETA]
    return found if found and can_build("response_norm") else []


class _Normalize(torch.autograd.Function):
    """Keeps its input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: LocalResponseNorm) -> Tensor:
        """Give the normalised maps, channels last."""
        x = x.contiguous(memory_format=torch.channels_last)
        y = torch.empty_like(x)
        _run(_call(x, y, norm))
        ctx.save_for_backward(x)
        ctx.norm = norm
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Give the gradient of x."""
        (x,) = ctx.saved_tensors
        gradient, result = even_rows(gradient), torch.empty_like(x)
        call = _call(x, result, ctx.norm)
        call.given, call.given_row = gradient.data_ptr(), gradient.stride(3)
        _run(call)
        return result, None


class _Call(ctypes.Structure):
    """The `ResponseCall` of response_norm.cpp."""

    _fields_ = (
        *((name, c_long) for name in ("rows", "channels", "given_row", "before", "after")),
        *((name, c_long) for name in ("threads", "half")),
        *((name, c_void_p) for name in ("x", "given", "out")),
        *((name, c_double) for name in ("alpha", "k")),
        ("parallel", c_void_p),
    )


def _call(x: Tensor, out: Tensor, norm: LocalResponseNorm) -> Any:
    """Fill in what both directions need."""
    call: Any = _Call()
    call.rows, call.channels = x.numel() // x.shape[1], x.shape[1]
    call.before, call.after = norm.size // 2, (norm.size - 1) // 2
    call.alpha, call.k, call.half = norm.alpha, norm.k, x.dtype == torch.bfloat16
    call.threads, call.parallel = threads()
    call.x, call.out = x.data_ptr(), out.data_ptr()
    return call


def _run(call: Any) -> None:
    native_function("response_norm", "response_norm")(ctypes.byref(call))
