"""Depthwise convolutions whose gradients are computed row by row, while a network learns."""

import ctypes
from ctypes import c_long, c_void_p
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from convatlas.train.native_code import can_build, can_take, native_function, threads


@dataclass(frozen=True, slots=True)
class Depthwise:
    """A depthwise convolution without bias, the same at both sides and in both directions."""

    conv: Any

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        conv = self.conv
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        if not can_take(x) or not self.pays(x.dtype):
            return type(conv).forward(conv, x)
        return _Depthwise.apply(x, conv.weight, conv.stride[0], conv.padding[0])

    def pays(self, kind: torch.dtype) -> bool:
        """Say whether oneDNN is slower, in milliseconds for 16 images on two cores (Zen 4).

        5x5, 240 maps of 28x28: 15.6 against 9.6, in bfloat16 37.7 against 8.3; 672 of 14x14: 11.6
        and 6.8, 40.1 and 7.1. 3x3 at stride 2, 64 of 112x112: 8.8 and 10.2, in bfloat16 69.1 and
        7.7. 3x3 at stride 1, 512 of 14x14: 3.2 and 5.8, in bfloat16 1.3 and 5.7.
        """
        slow = self.conv.stride[0] > 1 and kind == torch.bfloat16
        return self.conv.kernel_size[0] > 3 or slow


def find_depthwise(model: nn.Module) -> list[Depthwise]:
    """List the depthwise convolutions of a network; none where there is no C++ compiler."""
    found = [Depthwise(module) for module in model.modules() if _is_plain(module)]
    return found if found and can_build("depthwise") else []


def _is_plain(conv: nn.Module) -> bool:
    if type(conv) is not nn.Conv2d or conv.bias is not None or conv.weight.dtype != torch.float32:
        return False
    depthwise = conv.groups == conv.in_channels == conv.out_channels > 1
    pairs = (conv.kernel_size, conv.stride, conv.padding)
    alike = all(isinstance(pair, tuple) and len(set(pair)) == 1 for pair in pairs)
    return depthwise and alike and set(conv.dilation) == {1} and conv.padding_mode == "zeros"


class _Depthwise(torch.autograd.Function):
    """torch computes the maps, and these gradients are computed in one pass over them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        """Give the maps, channels last."""
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight.to(x.dtype), None, stride, padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Give the gradients of x and of the weights."""
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        size, result = weight.shape[2], torch.empty_like(x)
        taps = weight.flatten(1).t().contiguous()
        found = torch.empty(size * size, len(weight), dtype=torch.float64)
        call: Any = _Call()
        call.images, call.channels, call.height, call.width = x.shape
        call.out_height, call.out_width = gradient.shape[2:]
        call.size, call.stride, call.padding = size, ctx.stride, ctx.padding
        call.threads, call.parallel = threads()
        call.half = x.dtype == torch.bfloat16
        call.x, call.given, call.out = x.data_ptr(), gradient.data_ptr(), result.data_ptr()
        call.weights, call.weight_gradient = taps.data_ptr(), found.data_ptr()
        native_function("depthwise", "depthwise_backward")(ctypes.byref(call))
        return result, found.t().reshape(weight.shape).to(weight), None, None


class _Call(ctypes.Structure):
    """The `DepthwiseCall` of depthwise.cpp."""

    _fields_ = (
        *((name, c_long) for name in ("images", "channels", "height", "width")),
        *((name, c_long) for name in ("out_height", "out_width", "size", "stride", "padding")),
        *((name, c_long) for name in ("threads", "half")),
        *((name, c_void_p) for name in ("x", "given", "out", "weights", "weight_gradient")),
        ("parallel", c_void_p),
    )
