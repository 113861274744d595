"""Convolutions in groups: see native/grouped.cpp."""

import ctypes

import torch
from torch import nn

from convatlas.engines.native_arena import Arena, in_large_pages
from convatlas.engines.native_layer import NativeLayer, in_windows, takes
from convatlas.native.depthwise import lanes
from convatlas.native.grouped import Grouped, block, entry, in_blocks
from convatlas.native.maps import Plan, padded_bias

_COLUMNS = 3  # of the filters that the code has


class GroupedConv(NativeLayer):
    """A `NativeLayer` that `groups` says yes to; no maps are added to its own."""

    adds = False

    def __init__(
        self, conv: nn.Conv2d, act: nn.Module | None, plan: Plan, arena: Arena | None = None
    ) -> None:
        super().__init__(conv, act, plan, arena)
        self.weight = nn.Parameter(in_large_pages(in_blocks(conv.weight.detach())), False)
        self.bias = nn.Parameter(padded_bias(conv.bias, conv.out_channels), False)
        self.zeros = nn.Buffer(padded_bias(None, conv.out_channels))
        self.group = conv.in_channels // conv.groups

    def layer(self) -> Grouped:
        """Tell the code what it is."""
        how = (self.group, self.kernel[0], *self.stride, *self.padding, self.fused)
        tensors = (one.data_ptr() for one in (self.weight, self.bias, self.zeros))
        return Grouped(*tensors, self.maps, *how, torch.get_num_threads())

    def entry(self) -> ctypes.c_void_p:
        """Give where grouped.cpp begins."""
        return entry()


def groups(conv: nn.Conv2d) -> bool:
    """Say whether the code computes such a convolution: filters of 3 columns, some in a vector.

    Groups have as many maps as channels: 2, 4, 8 or so, up to two vectors of them.
    """
    size = conv.in_channels // conv.groups
    same = conv.in_channels == conv.out_channels and conv.weight.dtype == torch.float32
    if not (
        same and in_windows(conv, _COLUMNS) and conv.groups > 1 and takes(conv, groups=conv.groups)
    ):
        return False
    fitting = 1 < size <= 2 * lanes() and size & (size - 1) == 0
    return fitting and conv.in_channels % block(size) == 0
