"""Convolutions of 3x3 by Winograd's minimal filtering: see native/winograd.cpp."""

import ctypes

import torch
from torch import nn

from convatlas.engines.native_arena import Arena, floats
from convatlas.engines.native_layer import NativeLayer, takes
from convatlas.native.maps import Plan, padded_bias
from convatlas.native.winograd import (
    Layer,
    entry,
    transform,
    transformed_size,
)


class WinogradConv(NativeLayer):
    """A `NativeLayer` that `filters` says yes to, by tiles of 2x2 or 4x4 outputs."""

    def __init__(
        self, conv: nn.Conv2d, act: nn.Module | None, plan: Plan, arena: Arena | None = None
    ) -> None:
        super().__init__(conv, act, plan, arena)
        weight = conv.weight.detach()
        found = floats(transformed_size(weight, plan.tile))
        transform(weight.float(), found, plan.tile)
        self.weight = nn.Parameter(found, False)
        self.bias = nn.Parameter(padded_bias(conv.bias, conv.out_channels), False)

    def layer(self) -> Layer:
        """Tell the code what it is."""
        plan = self.plan
        sizes = (self.channels, self.maps, *self.padding, plan.tile, plan.block, plan.together)
        how = (self.fused, torch.get_num_threads(), self.dtype == torch.bfloat16)
        return Layer(self.weight.data_ptr(), self.bias.data_ptr(), *sizes, *how)

    def entry(self) -> ctypes.c_void_p:
        """Give where winograd.cpp begins."""
        return entry()


def filters(conv: nn.Conv2d) -> bool:
    """Say whether a convolution can be computed so: 3x3 with stride 1."""
    return takes(conv) and (conv.kernel_size, conv.stride) == ((3, 3), (1, 1))
