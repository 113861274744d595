"""Which convolutions are quicker by the code of native/, and cut up how: measured here."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.engines.graph_layers import PackedLinear, packed_conv
from convatlas.engines.native_arena import Arena
from convatlas.engines.native_layer import NativeLayer, takes
from convatlas.engines.product_conv import ProductConv, ProductLinear
from convatlas.engines.winograd_conv import WinogradConv, filters
from convatlas.native.maps import Plan

_LEAST_CHANNELS = 8  # with fewer, laying out the tiles takes longer than multiplying
_FEW_TILES = 64  # up to here reading the weights counts, which are 4 times as many with 4x4
_MANY_TILES = 1024  # that are enough to tell; of larger batches and maps a part is measured
_LEAST_ROUNDS, _MOST_ROUNDS, _SECONDS = 3, 6, 0.2
_MUCH_SLOWER = 1.25
_CACHE_FLOATS = 2**24  # more than a cache holds
_MANY_WEIGHTS = 2**15  # that do not stay in the cache while other layers run
_WORTH = 0.97  # times as quick as oneDNN: what is written in place later is not measured here

DIRECT = "direct"
_Layer = nn.Conv2d | nn.Linear


class WinogradLayers:
    """Gives the quickest layer for each convolution: one of this package, or None for oneDNN's.

    Each shape is measured once, on random maps, before it is answered for. Many weights come from
    memory then, as they do when a whole network runs: by tiles of 4x4 they are 4 times as many.

    Attributes:
        choices: By the number of images and the shape of a layer: what was chosen, and how many
            times as quick as oneDNN it was.
    """

    def __init__(self) -> None:
        """Begin with nothing measured."""
        self.choices: dict[int, dict[str, Any]] = defaultdict(dict)
        self._plans: dict[str, Plan | None] = {}
        self._arena = Arena()
        self._other = torch.zeros(_CACHE_FLOATS)

    def __call__(
        self, layer: _Layer, size: torch.Size, act: nn.Module | None, residual: bool
    ) -> nn.Module | None:
        """Give the layer for one whose input has a size, and what follows it."""
        if not _plans(layer, size):
            return None
        name = _name(layer, size, residual)
        if name not in self._plans:
            self._plans[name] = self._quickest(name, layer, size, residual)
        plan = self._plans[name]
        return None if plan is None else _made(layer, act, plan, self._arena)

    def _quickest(self, name: str, layer: _Layer, size: torch.Size, residual: bool) -> Plan | None:
        """Measure all ways of computing one layer; None: directly."""
        x = torch.randn(_part(layer, size)).to(layer.weight.dtype)
        if isinstance(layer, nn.Linear):
            direct: nn.Module = PackedLinear(layer, x.shape, None)
        else:
            x = x.contiguous(memory_format=torch.channels_last)
            direct = packed_conv(layer, x.shape, None, residual)
        with torch.inference_mode():
            added = direct(x) if residual else None
        runs = {DIRECT: _run(direct, added)}
        plans = {str(plan): plan for plan in _plans(layer, size)}
        layers: dict[int, NativeLayer] = {}  # ways with the same tiles share the weights
        for key, plan in plans.items():
            if plan.tile not in layers:
                layers[plan.tile] = _made(layer, None, plan, self._arena)
            runs[key] = _planned(layers[plan.tile], plan, added)
        many = layer.weight.numel() > _MANY_WEIGHTS
        seconds = _measure(runs, x, self._other if many else None)
        best = min(plans, key=lambda key: seconds[key])
        ratio = round(seconds[DIRECT] / seconds[best], 2)
        if ratio < _WORTH:
            best, ratio = DIRECT, 1.0
        self.choices[size[0]][name] = {"by": best, "times as quick": ratio}
        return plans.get(best)


def _name(layer: _Layer, size: torch.Size, residual: bool) -> str:
    sides = "x".join(map(str, size))
    if isinstance(layer, nn.Linear):
        return f"linear, {sides} to {layer.out_features}"
    name = f"{layer.kernel_size[0]}x{layer.kernel_size[1]}, {sides}"
    name += f" to {layer.out_channels}, stride {layer.stride}, padding {layer.padding}"
    return name + (" + other" if residual else "")


def _made(layer: _Layer, act: nn.Module | None, plan: Plan, arena: Arena) -> NativeLayer:
    if isinstance(layer, nn.Linear):
        return ProductLinear(layer, act, plan, arena)
    kind = ProductConv if plan.tile == 1 else WinogradConv
    return kind(layer, act, plan, arena)


def _tiles(size: Sequence[int]) -> int:
    return size[0] * -(-size[2] // 4) * -(-size[3] // 4)


def _part(layer: _Layer, size: torch.Size) -> list[int]:
    """Cut maps down to what is enough to measure: images first, then rows."""
    if isinstance(layer, nn.Linear):
        return list(size)
    images = min(size[0], -(-_MANY_TILES // _tiles((1, *size[1:]))))
    rows = -(-_MANY_TILES // -(-size[3] // 4)) * 4 + layer.kernel_size[0] - 1
    rows = size[2] if images > 1 else min(size[2], rows)
    return [images, size[1], rows, size[3]]


def _plans(layer: _Layer, size: Sequence[int]) -> list[Plan]:
    """Give what is worth trying."""
    if isinstance(layer, nn.Linear):
        return [Plan(1, 192, True)]
    if filters(layer) and layer.in_channels >= _LEAST_CHANNELS:
        found = [Plan(4, 12, False), Plan(4, 24, False), Plan(4, 96, True)]
        if _tiles(size) <= _FEW_TILES:
            found += [Plan(2, 24, False), Plan(2, 192, True)]
        return found
    # in bfloat16 oneDNN multiplies twice as many values at once
    if not takes(layer) or layer.weight.dtype == torch.bfloat16:
        return []
    return [Plan(1, 48, False), Plan(1, 192, False), Plan(1, 384, True)]


def _run(layer: nn.Module, added: Tensor | None) -> Callable[[Tensor], Tensor]:
    return layer if added is None else lambda x: layer(x, added)


def _planned(layer: NativeLayer, plan: Plan, added: Tensor | None) -> Callable[[Tensor], Tensor]:
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
