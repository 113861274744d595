"""Which convolutions are quicker by the code of native/, and cut up how: measured here."""

import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.engines.depthwise_conv import DepthwiseConv, single
from convatlas.engines.graph_layers import PackedLinear, packed_conv
from convatlas.engines.grouped_conv import GroupedConv, groups
from convatlas.engines.native_arena import Arena, apart
from convatlas.engines.native_layer import NativeLayer, takes
from convatlas.engines.product_conv import ProductConv, ProductLinear, by_lines
from convatlas.engines.separable_conv import SeparableConv, separable
from convatlas.engines.wanted import Wanted
from convatlas.engines.winograd_conv import WinogradConv, filters
from convatlas.native.maps import WHOLE, Plan

_LEAST_CHANNELS = 8  # with fewer, laying out the tiles takes longer than multiplying
_FEW_TILES = 64  # up to here reading the weights counts, which are 4 times as many with 4x4
_MANY_TILES = 1024  # that are enough to tell; of larger batches and maps a part is measured
_LEAST_ROUNDS, _MOST_ROUNDS, _SECONDS = 3, 6, 0.2
_MUCH_SLOWER = 1.25
_CACHE_FLOATS = 2**24  # more than a cache holds
_MANY_WEIGHTS = 2**15  # that do not stay in the cache while other layers run
# a layer of oneDNN takes more seconds: this package's run many in one call; and a twentieth is
# noise, which should not cut such a run in two
_CALL, _NOISE = 2e-5, 1.05

DIRECT = "direct"


class WinogradLayers:
    """Gives the quickest layer for each convolution: one of this package, or None for oneDNN's.

    Each shape is measured once, on random maps, before it is answered for. Many weights come from
    memory then, as they do when a whole network runs: by tiles of 4x4 they are 4 times as many.

    Attributes:
        choices: By the number of images and the shape of a layer: what was chosen, and how many
            times as quick as oneDNN it was.
        arena: Where outputs lie.
    """

    def __init__(self) -> None:
        """Begin with nothing measured."""
        self.choices: dict[int, dict[str, Any]] = defaultdict(dict)
        self._plans: dict[str, tuple[Plan | None, float]] = {}
        self.arena = Arena()
        self._other = torch.zeros(_CACHE_FLOATS)

    def __call__(self, wanted: Wanted) -> nn.Module | None:
        """Give the layer that does what is wanted."""
        found = self._planned(wanted)
        if found is None:
            return None
        plan, ratio = found
        if plan is not None or wanted.before is None:
            by = DIRECT if plan is None else str(plan)
            self.choices[wanted.size[0]][_name(wanted)] = {"by": by, "times as quick": ratio}
        return None if plan is None else _made(wanted, plan, self.arena)

    def _planned(self, wanted: Wanted) -> tuple[Plan | None, float] | None:
        """Give what is quickest, and how many times; none: the code can't compute it."""
        if not _plans(wanted):
            return None
        name = _name(wanted)
        if name not in self._plans:
            with apart():
                self._plans[name] = self._quickest(wanted)
        return self._plans[name]

    def _quickest(self, wanted: Wanted) -> tuple[Plan | None, float]:
        """Measure all ways of computing one layer; none: directly."""
        x = torch.randn(_part(wanted)).to(wanted.layer.weight.dtype)
        if x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        plain = dataclasses.replace(wanted, size=x.shape)
        direct = self._apart(plain)
        with torch.inference_mode():
            added = direct(x) if wanted.residual else None
        runs = {DIRECT: _run(direct, added)}
        plans = {str(plan): plan for plan in _plans(wanted)}
        layers: dict[int, NativeLayer] = {}  # ways with the same tiles share the weights
        for key, plan in plans.items():
            if plan.tile not in layers:
                layers[plan.tile] = _made(plain, plan, self.arena)
            runs[key] = _run_by(layers[plan.tile], plan, added)
        many = wanted.layer.weight.numel() > _MANY_WEIGHTS
        seconds = _measure(runs, x, self._other if many else None)
        best = min(plans, key=lambda key: seconds[key])
        ratio = round(seconds[DIRECT] / seconds[best], 2)
        worth = seconds[best] <= _NOISE * seconds[DIRECT] + _CALL
        return (plans[best], ratio) if worth else (None, 1.0)

    def _apart(self, wanted: Wanted) -> nn.Module:
        """Give oneDNN's layer; where there are filters before it, theirs and its own quickest."""
        layer, size, before = wanted.layer, wanted.size, wanted.before
        if isinstance(layer, nn.Linear):
            return PackedLinear(layer, size, wanted.act)
        if before is None:
            return packed_conv(layer, size, wanted.act, wanted.residual)
        first = self._alone(Wanted(before.conv, size, before.act))
        with torch.inference_mode():
            given = first(torch.empty(size).contiguous(memory_format=torch.channels_last))
        return _Chain(
            first, self._alone(dataclasses.replace(wanted, size=given.shape, before=None))
        )

    def _alone(self, wanted: Wanted) -> nn.Module:
        found = self._planned(wanted)
        plan = None if found is None else found[0]
        return self._apart(wanted) if plan is None else _made(wanted, plan, self.arena)


class _Chain(nn.Module):
    """Two layers of which the second may add other maps."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor, *other: Tensor) -> Tensor:
        return self.second(self.first(x), *other)


def _name(wanted: Wanted) -> str:
    layer, sides, before = wanted.layer, "x".join(map(str, wanted.size)), ""
    if isinstance(layer, nn.Linear):
        return f"linear, {sides} to {layer.out_features}"
    if wanted.before is not None:
        act = "" if wanted.before.act is None else f" and {type(wanted.before.act).__name__}"
        before = f"{_filters(wanted.before.conv)}{act}, then "
    added = " + other" if wanted.residual else ""
    return f"{before}{_filters(layer)}, {sides} to {layer.out_channels}{added}"


def _filters(conv: nn.Conv2d) -> str:
    sides = "x".join(map(str, conv.kernel_size))
    name = f"{sides}, stride {conv.stride}, padding {conv.padding}"
    if conv.groups > 1:
        name += f", {conv.groups} groups"
    return name + (f", dilation {conv.dilation}" if conv.dilation != (1, 1) else "")


def _made(wanted: Wanted, plan: Plan, arena: Arena) -> NativeLayer:
    layer, act = wanted.layer, wanted.act
    if isinstance(layer, nn.Linear):
        return ProductLinear(layer, act, plan, arena)
    if wanted.before is not None:
        return SeparableConv(wanted.before, layer, act, plan, arena)
    if single(layer) and layer.groups > 1:
        return DepthwiseConv(layer, act, plan, arena)
    if layer.groups > 1:
        return GroupedConv(layer, act, plan, arena)
    kind = ProductConv if plan.tile == 1 else WinogradConv
    return kind(layer, act, plan, arena)


def _tiles(size: Sequence[int]) -> int:
    return size[0] * -(-size[2] // 4) * -(-size[3] // 4)


def _part(wanted: Wanted) -> list[int]:
    """Cut maps down to what is enough to measure: images first, then rows."""
    layer, size = wanted.layer, wanted.size
    if isinstance(layer, nn.Linear):
        return list(size)
    first = layer if wanted.before is None else wanted.before.conv
    images = min(size[0], -(-_MANY_TILES // _tiles((1, *size[1:]))))
    rows = -(-_MANY_TILES // -(-size[3] // 4)) * 4 + first.kernel_size[0] - 1
    rows = size[2] if images > 1 else min(size[2], rows)
    return [images, size[1], rows, size[3]]


def _plans(wanted: Wanted) -> list[Plan]:
    """Give what is worth trying."""
    layer = wanted.layer
    if isinstance(layer, nn.Linear):
        return [Plan(1, 192, True)]
    if wanted.before is not None and not separable(wanted.before, layer):
        return []
    if filters(layer) and layer.in_channels >= _LEAST_CHANNELS:
        found = [Plan(4, 12, False), Plan(4, 24, False), Plan(4, 96, True)]
        if _tiles(wanted.size) <= _FEW_TILES:
            found += [Plan(2, 24, False), Plan(2, 192, True)]
        return found
    if layer.groups > 1:
        return [WHOLE] if single(layer) or groups(layer) else []
    # in bfloat16 oneDNN multiplies twice as many values at once
    if not takes(layer) or layer.weight.dtype == torch.bfloat16:
        return []
    if by_lines(layer):
        return [WHOLE]
    return [Plan(1, 48, False), Plan(1, 192, False), Plan(1, 384, True)]


def _run(layer: nn.Module, added: Tensor | None) -> Callable[[Tensor], Tensor]:
    return layer if added is None else lambda x: layer(x, added)


def _run_by(layer: NativeLayer, plan: Plan, added: Tensor | None) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        layer.plan = plan
        return layer(x, added, added)  # a sum is written over what is added

    return run


def _measure(
    runs: dict[str, Callable[[Tensor], Tensor]], x: Tensor, other: Tensor | None
) -> dict[str, float]:
    """Give the least time of each, in seconds; in turn, and without those far behind."""
    least: dict[str, float] = {}
    racing, begun = list(runs), time.perf_counter()
    with torch.inference_mode():
        for run in runs.values():
            run(x)
        for i in range(_MOST_ROUNDS):
            for name in racing:
                if other is not None:
                    other.add_(1)  # puts the weights out of the cache
                    x.sum()  # the layer before has just written them
                now = time.perf_counter()
                runs[name](x)
                least[name] = min(least.get(name, float("inf")), time.perf_counter() - now)
            if i + 1 < _LEAST_ROUNDS:
                continue  # one slow turn tells nothing: something else may have run
            best = min(least.values())
            racing = [name for name in racing if least[name] <= _MUCH_SLOWER * best]
            if len(racing) == 1 or time.perf_counter() - begun > _SECONDS:
                break
    return least
