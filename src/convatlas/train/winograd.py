"""3x3 convolutions in fewer multiplications, forward and on the way back, while a network learns.

Lavin & Gray 2016, https://arxiv.org/abs/1509.09308; see native/winograd.cpp.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convatlas.native.maps import Plan, padded_bias
from convatlas.native.winograd import (
    Layer,
    can_learn,
    convolve,
    filter_gradient,
    transform,
    transformed_size,
)
from convatlas.train.native_code import even_rows

_FLOATS: Any = {"dtype": torch.float32, "device": "cpu"}  # whatever torch's defaults are
_PLAN = Plan(4, 24, together=False)
_LEAST_OUTPUTS = 1000  # with fewer, transforming the filters takes what multiplying saves
_LEAST_CHANNELS, _LEAST_FILTERS = 16, 1024  # with fewer, transforming the maps does


@dataclass(frozen=True, slots=True)
class Winograd:
    """A 3x3 convolution at stride 1, perhaps in a few groups."""

    conv: Any

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, maps, H', W')."""
        conv = self.conv
        if torch.is_autocast_enabled(x.device.type) or not self.pays(x):
            return type(conv).forward(conv, x)
        return _Convolution.apply(x, conv.weight, conv.bias, conv)

    def pays(self, x: Tensor) -> bool:
        """Say whether it is quicker than oneDNN's, which wins in bfloat16.

        In milliseconds, forward, back to the maps and to the filters, for 16 images on two cores
        (Zen 4), oneDNN's and ours: 64 maps of 56x56 to 64: 17.0, 17.4, 21.7 and 8.1, 8.2, 8.7; 256
        of 14x14 to 256: 16.1, 15.7, 17.2 and 8.2, 8.2, 10.8. 512 of 7x7 to 512, 784 outputs: 16.2,
        16.2, 20.8 and 17.0, 14.3, 18.0; 16 of 32x32 to 16, 128 images: 4.0, 4.0, 3.8 and 4.5, 4.2,
        8.2.
        """
        conv = self.conv
        kinds = {x.dtype, conv.weight.dtype}
        if x.device.type != "cpu" or kinds != {torch.float32} or x.dim() != 4:
            return False
        high, wide = _sides(x, conv.padding)
        whole = x.shape[1] == conv.in_channels and min(high, wide) > 0
        return whole and len(x) * high * wide >= _LEAST_OUTPUTS


def find_winograd(model: nn.Module) -> list[Winograd]:
    """List the convolutions of a network that this computes; none without a C++ compiler."""
    found = [Winograd(module) for module in model.modules() if _is_plain(module)]
    return found if found and can_learn() else []


def _is_plain(conv: nn.Module) -> bool:
    """Say whether it is one of 3x3 at stride 1, with maps enough."""
    if type(conv) is not nn.Conv2d or conv.weight.dtype != torch.float32:
        return False
    how = (conv.kernel_size, conv.stride, conv.dilation, conv.padding_mode)
    if how != ((3, 3), (1, 1), (1, 1), "zeros") or isinstance(conv.padding, str):
        return False
    both = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    many = min(both) >= _LEAST_CHANNELS and both[0] * both[1] >= _LEAST_FILTERS
    return many and max(conv.padding) <= 2  # so that there is padding to take back


class _Convolution(torch.autograd.Function):
    """Keeps its input; its filters are transformed again on the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, conv: Any) -> Tensor:
        """Give the maps, channels last."""
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.groups = conv.padding, conv.groups
        high, wide = _sides(x, conv.padding)
        y = _maps(len(x), len(weight), high, wide)
        for part, filters, out, added in _groups(conv.groups, x, weight, y, bias):
            _convolve(part, filters, added, conv.padding, out)
        return y

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        """Give the gradients of x, the filters and the bias."""
        x, weight = ctx.saved_tensors
        gradient = even_rows(gradient)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x, padding = _maps(*x.shape), tuple(2 - pad for pad in ctx.padding)
            for part, filters, out, _ in _groups(ctx.groups, gradient, weight, of_x, None):
                _convolve(part, filters.transpose(0, 1), None, padding, out, turned=True)
        if ctx.needs_input_grad[1]:
            of_weight = torch.empty_like(weight) if len(x) else torch.zeros_like(weight)
            for part, out, given, _ in _groups(ctx.groups, x, of_weight, gradient, None):
                filter_gradient(part, given, out, ctx.padding)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_weight, of_bias, None


def _groups(
    count: int, x: Tensor, weight: Tensor, y: Tensor, bias: Tensor | None
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor | None]]:
    """Cut maps, filters and biases into groups that have nothing to do with each other."""
    parts = [None] * count if bias is None else bias.chunk(count)
    yield from zip(x.chunk(count, 1), weight.chunk(count), y.chunk(count, 1), parts, strict=True)


def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    padding: tuple[int, ...],
    y: Tensor,
    *,
    turned: bool = False,
) -> None:
    """Convolve maps with filters that are transformed for it."""
    filters = torch.empty(transformed_size(weight, _PLAN.tile), **_FLOATS)
    transform(weight, filters, _PLAN.tile, turned=turned)
    added, maps = padded_bias(bias, len(weight)), (x.shape[1], len(weight))
    layer = Layer(filters.data_ptr(), added.data_ptr(), *maps, *padding, _PLAN.tile)
    layer.block, layer.together = _PLAN.block, _PLAN.together
    layer.threads = torch.get_num_threads()
    convolve(layer, x, y)


def _maps(*size: int) -> Tensor:
    return torch.empty(size, **_FLOATS, memory_format=torch.channels_last)


def _sides(x: Tensor, padding: tuple[int, ...]) -> tuple[int, ...]:
    """Give height and width of what comes out."""
    return tuple(side + 2 * pad - 2 for side, pad in zip(x.shape[2:], padding, strict=True))
