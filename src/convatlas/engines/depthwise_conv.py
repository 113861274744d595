"""Depthwise convolutions, norms, and maps times a number each: see native/depthwise.cpp."""

import ctypes

import torch
from torch import Tensor, fx, nn

from convatlas.engines.graph_layers import ScaleShift
from convatlas.engines.graph_trace import replace_each, shape
from convatlas.engines.native_arena import Arena
from convatlas.engines.native_layer import (
    NativeLayer,
    fused,
    in_windows,
    padding,
    takes,
    with_channels_last,
)
from convatlas.errors import InputError
from convatlas.native.depthwise import (
    Depthwise,
    Filtering,
    entry,
    gate_entry,
    in_vectors,
)
from convatlas.native.maps import WHOLE, Plan, padded_bias

aten = torch.ops.aten
_COLUMNS = (1, 3, 5)  # of the filters that the code has


class Filters(nn.Module):
    """The tensors of a depthwise convolution, as the code reads them."""

    def __init__(self, conv: nn.Conv2d, act: nn.Module | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(in_vectors(conv.weight.detach()), False)
        self.bias = nn.Parameter(padded_bias(conv.bias, conv.out_channels), False)
        self.zeros = nn.Buffer(padded_bias(None, conv.out_channels))
        self.how = (*conv.kernel_size, *conv.stride, *padding(conv), fused(act))

    def told(self) -> Depthwise:
        """Tell the code of them."""
        tensors = (one.data_ptr() for one in (self.weight, self.bias, self.zeros))
        return Depthwise(*tensors, *self.how)


class DepthwiseConv(NativeLayer):
    """A `NativeLayer` that `single` says yes to; no maps are added to its own."""

    adds = False

    def __init__(
        self, conv: nn.Conv2d, act: nn.Module | None, plan: Plan, arena: Arena | None = None
    ) -> None:
        super().__init__(conv, act, plan, arena)
        self.filters = Filters(conv, act)

    def layer(self) -> Filtering:
        """Tell the code what it is."""
        return Filtering(self.channels, torch.get_num_threads(), self.filters.told())

    def entry(self) -> ctypes.c_void_p:
        """Give where its part of depthwise.cpp begins."""
        return entry()


class Gate(NativeLayer):
    """Maps times a number for each of them, as in squeeze-and-excitation."""

    def __init__(self, channels: int, arena: Arena | None = None) -> None:
        super().__init__(_of_single_maps(channels), None, WHOLE, arena)

    def forward(self, x: Tensor, other: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """(N, C, H, W), (N, C, 1, 1) -> (N, C, H, W), channels last."""
        self.check(x)
        if other is None or other.shape != (*x.shape[:2], 1, 1) or other.dtype != self.dtype:
            given = "none" if other is None else f"{list(other.shape)} of {other.dtype}"
            raise InputError(
                f"needs a number of {self.dtype} for each of {list(x.shape[:2])} maps, not {given}"
            )
        count, channels, height, width = x.shape
        size = (count, channels, height, width)
        y = self.arena.images(size, x.dtype) if out is None else self.fitting(out, size)
        self.run(with_channels_last(x), y, with_channels_last(other))
        return y

    def layer(self) -> Filtering:
        """Tell the code what it is."""
        return Filtering(self.channels, torch.get_num_threads())

    def entry(self) -> ctypes.c_void_p:
        """Give where its part of depthwise.cpp begins."""
        return gate_entry()


def single(conv: nn.Conv2d) -> bool:
    """Say whether the code computes such a convolution: each filter looks at one map."""
    same = conv.groups == conv.in_channels == conv.out_channels
    same = same and conv.weight.dtype == torch.float32
    return same and in_windows(conv, *_COLUMNS) and takes(conv, groups=conv.groups)


def find_gates_and_norms(module: fx.GraphModule, arena: Arena) -> int:
    """Let this package multiply and shift maps of float32; give how often it does."""
    return replace_each(module, lambda node: _layer(module, node, arena))


def _layer(module: fx.GraphModule, node: fx.Node, arena: Arena) -> NativeLayer | None:
    if node.target is aten.mul.Tensor and len(node.all_input_nodes) == len(node.args) == 2:
        maps, by = (shape(one) for one in node.args)
        fitting = len(maps) == 4 and by == (*maps[:2], 1, 1)
        fitting = fitting and all(
            one.meta["val"].dtype == torch.float32 for one in node.all_input_nodes
        )
        return Gate(maps[1], arena) if fitting and maps[2:] != (1, 1) else None
    part = module.get_submodule(str(node.target)) if node.op == "call_module" else None
    if not isinstance(part, ScaleShift):
        return None
    conv = _of_single_maps(part.scale.numel())
    conv.weight = nn.Parameter(part.scale.view(-1, 1, 1, 1), False)
    conv.bias = nn.Parameter(part.shift.flatten(), False)
    return DepthwiseConv(conv, nn.ReLU() if part.relu else None, WHOLE, arena)


def _of_single_maps(channels: int) -> nn.Conv2d:
    with torch.device("meta"):
        return nn.Conv2d(channels, channels, 1, groups=channels, dtype=torch.float32)
