"""Convolutions and linear layers as products of matrices: see native/product.cpp."""

import ctypes

import torch
from torch import Tensor, nn

from convatlas.engines.native_arena import Arena, in_large_pages
from convatlas.engines.native_layer import NativeLayer
from convatlas.native.depthwise import lanes
from convatlas.native.maps import Plan, padded_bias
from convatlas.native.product import Product, entry, in_panels


class ProductConv(NativeLayer):
    """A `NativeLayer` of any filters and strides."""

    def __init__(
        self, conv: nn.Conv2d, act: nn.Module | None, plan: Plan, arena: Arena | None = None
    ) -> None:
        super().__init__(conv, act, plan, arena)
        self.weight = nn.Parameter(in_large_pages(in_panels(conv.weight.detach())), False)
        self.bias = nn.Parameter(padded_bias(conv.bias, conv.out_channels), False)

    def layer(self) -> Product:
        """Tell the code what it is."""
        return self.product(self.kernel, self.stride, self.padding)

    def entry(self) -> ctypes.c_void_p:
        """Give where product.cpp begins."""
        return entry()

    def product(
        self, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
    ) -> Product:
        """Tell the code of its tensors and its plan."""
        sizes = (self.channels, self.maps, *kernel, *stride, *padding)
        how = (self.plan.block, self.plan.together, self.fused, torch.get_num_threads())
        halves = self.dtype == torch.bfloat16
        return Product(self.weight.data_ptr(), self.bias.data_ptr(), *sizes, *how, halves)


class ProductLinear(ProductConv):
    """A linear layer: each image is one pixel."""

    def __init__(
        self, linear: nn.Linear, act: nn.Module | None, plan: Plan, arena: Arena | None = None
    ) -> None:
        super().__init__(as_conv(linear), act, plan, arena)

    def forward(self, x: Tensor, other: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """(N, in) -> (N, out); otherwise as any `NativeLayer`."""
        other, out = (None if one is None else _pixels(one) for one in (other, out))
        return super().forward(_pixels(x), other, out).flatten(1)


def _pixels(x: Tensor) -> Tensor:
    count, size = x.shape
    return x.contiguous().as_strided((count, size, 1, 1), (size, 1, size, size))


def as_conv(linear: nn.Linear) -> nn.Conv2d:
    """Give a linear layer as a convolution of 1x1, with the same tensors."""
    with torch.device("meta"):
        conv = nn.Conv2d(linear.in_features, linear.out_features, 1)
    conv.weight = nn.Parameter(linear.weight.detach()[:, :, None, None], False)
    conv.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach(), False)
    return conv


def by_lines(conv: nn.Conv2d) -> bool:
    """Say whether the code takes a line of outputs at a time, as it does of few channels."""
    return conv.in_channels < lanes() and conv.kernel_size[1] > 1
