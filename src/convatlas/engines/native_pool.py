"""Poolings by the code of `convatlas.native`: see native/pool.cpp."""

import ctypes
from typing import Any

import torch
from torch import Tensor, fx, nn

from convatlas.engines.graph_modules import pair
from convatlas.engines.graph_trace import arguments, replace_each, shape
from convatlas.engines.native_arena import Arena
from convatlas.engines.native_layer import NativeLayer
from convatlas.native.maps import WHOLE
from convatlas.native.pool import Pool, entry

aten = torch.ops.aten
_LARGEST, _MEAN = aten.max_pool2d.default, aten.avg_pool2d.default
_TO_SIZE, _OVER_AXES = aten.adaptive_avg_pool2d.default, aten.mean.dim


class NativePool(NativeLayer):
    """The largest of each window, or the mean.

    Args:
        like: A depthwise convolution with the windows' sides, strides and padding; its type is
            that of the maps.
        mean: None, or whether the zeros outside count.
        ceil: Windows may begin inside, and end outside.
    """

    adds = False

    def __init__(
        self, like: nn.Conv2d, mean: bool | None, ceil: bool = False, arena: Arena | None = None
    ) -> None:
        super().__init__(like, None, WHOLE, arena)
        self.mean = {None: 0, True: 1, False: 2}[mean]
        self.ceil = ceil

    def layer(self) -> Pool:
        """Tell the code what it is."""
        how = (*self.kernel, *self.stride, *self.padding, self.mean)
        return Pool(self.channels, *how, torch.get_num_threads(), self.dtype == torch.bfloat16)

    def entry(self) -> ctypes.c_void_p:
        """Give where pool.cpp begins."""
        return entry()

    def _side(self, x: Tensor, axis: int) -> int:
        side, size, pad, step = (
            one[axis] for one in (x.shape[2:], self.kernel, self.padding, self.stride)
        )
        found = (
            -(-(side + 2 * pad - size) // step) if self.ceil else (side + 2 * pad - size) // step
        )
        return found + (not self.ceil or found * step < side + pad)


def find_pools(module: fx.GraphModule, dtype: torch.dtype, arena: Arena) -> int:
    """Let this package pool the maps of a graph; give how often it does."""
    return replace_each(module, lambda node: _layer(node, dtype, arena))


def _layer(node: fx.Node, dtype: torch.dtype, arena: Arena) -> NativePool | None:
    if node.target not in (_LARGEST, _MEAN, _TO_SIZE, _OVER_AXES) or len(shape(node)) != 4:
        return None
    given = arguments(node)
    if given["self"].meta["val"].dtype != dtype:
        return None
    if node.target in (_TO_SIZE, _OVER_AXES):
        given |= _whole(given, shape(given["self"]), shape(node))
    return _pool(given, shape(node)[1], dtype, arena)


def _whole(given: dict[str, Any], size: torch.Size, result: torch.Size) -> dict[str, Any]:
    """Give the mean of all pixels as a pooling; of other means, nothing."""
    axes = {axis % 4 for axis in given.get("dim", (2, 3)) or ()}  # none: all
    if result[2:] != (1, 1) or axes != {2, 3} or len(size) != 4 or given.get("dtype") is not None:
        return {}
    how = {"stride": [1, 1], "padding": [0, 0], "ceil_mode": False, "count_include_pad": False}
    return {"kernel_size": [*size[2:]], **how}


def _pool(
    given: dict[str, Any], channels: int, dtype: torch.dtype, arena: Arena
) -> NativePool | None:
    if not given.get("kernel_size"):
        return None
    mean = None if "dilation" in given else given["count_include_pad"]
    plain = set(given.get("dilation", [1])) == {1} and given.get("divisor_override") is None
    if not plain or (mean is not None and given["ceil_mode"]):
        return None
    names = ("kernel_size", "stride", "padding")
    how: dict[str, Any] = {name: tuple(pair(given[name])) for name in names}
    how["stride"] = how["stride"] or how["kernel_size"]
    with torch.device("meta"):
        like = nn.Conv2d(channels, channels, groups=channels, bias=False, dtype=dtype, **how)
    return NativePool(like, mean, given["ceil_mode"], arena)
