"""Filters of single maps and a 1x1 convolution as one layer: see native/product.cpp."""

from torch import nn

from convatlas.engines.depthwise_conv import Filters, single
from convatlas.engines.native_arena import Arena
from convatlas.engines.native_layer import fused, padding, takes
from convatlas.engines.product_conv import ProductConv
from convatlas.engines.wanted import Before
from convatlas.native.maps import Plan
from convatlas.native.product import Product


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
        self.filters = Filters(first, before.act)

    def layer(self) -> Product:
        """Tell the code what it is."""
        found = self.product((1, 1), (1, 1), (0, 0))
        found.before = self.filters.told()
        return found


def separable(before: Before, conv: nn.Conv2d) -> bool:
    """Say whether the code computes filters and the 1x1 convolution behind them together."""
    points = (conv.kernel_size, conv.stride, padding(conv)) == ((1, 1), (1, 1), (0, 0))
    known = before.act is None or fused(before.act) > 0
    return points and known and takes(conv) and single(before.conv)
