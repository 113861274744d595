"""Filters of single maps and a 1x1 convolution as one layer: see native/product.cpp."""

from torch import nn

from convatlas.engines.native_arena import Arena
from convatlas.engines.native_layer import fused, padding, takes
from convatlas.engines.product_conv import ProductConv
from convatlas.engines.wanted import Before
from convatlas.native.maps import Plan, padded_bias
from convatlas.native.product import Depthwise, Product, in_vectors

_COLUMNS, _MOST_ROWS, _MOST_RIGHT = (1, 3, 5), 7, 2  # of the filters that the code has


class SeparableConv(ProductConv):
    """A depthwise convolution, or a norm, and the 1x1 convolution behind it; what they share stays.

    The maps between the two are never written: a block of their pixels stays in the cache.
    """

    def __init__(
        self,
        before: Before,
        conv: nn.Conv2d,
        act: nn.Module | None,
        plan: Plan,
        arena: Arena | None = None,
    ) -> None:
        super().__init__(conv, act, plan, arena)
        first = before.conv
        self.kernel, self.stride, self.padding = first.kernel_size, first.stride, padding(first)
        self.filters = nn.Parameter(in_vectors(first.weight.detach()), False)
        self.shift = nn.Parameter(padded_bias(first.bias, first.out_channels), False)
        self.fused_before = fused(before.act)

    def layer(self) -> Product:
        """Tell the code what it is."""
        how = (*self.kernel, *self.stride, *self.padding, self.fused_before)
        found = self.product((1, 1), (1, 1), (0, 0))
        found.before = Depthwise(self.filters.data_ptr(), self.shift.data_ptr(), *how)
        return found


def separable(before: Before, conv: nn.Conv2d) -> bool:
    """Say whether the code computes filters and the 1x1 convolution behind them together."""
    first = before.conv
    points = (conv.kernel_size, conv.stride, padding(conv)) == ((1, 1), (1, 1), (0, 0))
    rows, columns = first.kernel_size
    known = columns in _COLUMNS and rows <= _MOST_ROWS and first.stride[1] <= _MOST_RIGHT
    single = first.groups == first.in_channels == first.out_channels == conv.in_channels
    known = known and (before.act is None or fused(before.act) > 0)
    return points and known and single and takes(conv) and takes(first, groups=first.groups)
