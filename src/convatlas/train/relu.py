"""ReLU whose gradient is computed in one pass, also behind joined maps, while a network learns."""

import ctypes
from ctypes import c_long, c_void_p
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convatlas.train.native_code import can_build, can_take, even_rows, native_function, threads


@dataclass(frozen=True, slots=True)
class Relu:
    """An `nn.ReLU` of maps."""

    act: Any

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        if not can_take(x):
            return type(self.act).forward(self.act, x)
        return _Relu.apply(x)


def find_relus(model: nn.Module) -> list[Relu]:
    """List the ReLUs of a network that write anew; none where there is no C++ compiler."""
    found = [Relu(one) for one in model.modules() if is_plain_relu(one)]
    return found if found and can_build("relu") else []


def is_plain_relu(act: nn.Module) -> bool:
    """Say whether it is torch's ReLU, writing anew."""
    return type(act) is nn.ReLU and not act.inplace


class _Relu(torch.autograd.Function):
    """Keeps its output. torch goes through the parts of joined maps value by value."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Give the maps, channels last."""
        y = x.relu().contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Give the gradient of x."""
        (y,) = ctx.saved_tensors
        gradient, call = even_rows(gradient), _Call()
        result = torch.empty_like(y)
        call.rows, call.channels = y.numel() // y.shape[1], y.shape[1]
        call.given_row, call.half = gradient.stride(3), y.dtype == torch.bfloat16
        call.threads, call.parallel = threads()
        call.y, call.given, call.out = y.data_ptr(), gradient.data_ptr(), result.data_ptr()
        native_function("relu", "relu_backward")(ctypes.byref(call))
        return result


class _Call(ctypes.Structure):
    """The `ReluCall` of relu.cpp."""

    _fields_ = (
        *((name, c_long) for name in ("rows", "channels", "given_row", "threads", "half")),
        *((name, c_void_p) for name in ("y", "given", "out", "parallel")),
    )
