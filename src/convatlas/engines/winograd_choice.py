"""Which convolutions are quicker by the code of native/, and cut up how: measured here."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.engines.graph_layers import packed_conv
from convatlas.engines.native_arena import Arena
from convatlas.engines.winograd_conv import Plan, WinogradConv, takes

_LEAST_CHANNELS = 8  # with fewer, laying out the tiles takes longer than multiplying
_FEW_TILES = 64  # up to here reading the weights counts, which are 4 times as many with 4x4
_MANY_TILES = 1024  # that are enough to tell; of larger batches and maps a part is measured
_LEAST_ROUNDS, _MOST_ROUNDS, _SECONDS = 3, 6, 0.2
_MUCH_SLOWER = 1.25
_CACHE_FLOATS = 2**24  # more than a cache holds
_MANY_WEIGHTS = 2**15  # that do not stay in the cache while other layers run

DIRECT = "direct"


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
        self, conv: nn.Conv2d, size: torch.Size, act: nn.Module | None, residual: bool
    ) -> nn.Module | None:
        """Give the layer for a convolution whose input has a size, and what follows it."""
        if not takes(conv) or conv.in_channels < _LEAST_CHANNELS:
            return None
        name = f"{conv.kernel_size[0]}x{conv.kernel_size[1]}, {'x'.join(map(str, size))}"
        name += f" to {conv.out_channels}, stride {conv.stride}, padding {conv.padding}"
        name += " + other" if residual else ""
        if name not in self._plans:
            self._plans[name] = self._quickest(name, conv, size)
        plan = self._plans[name]
        return None if plan is None else WinogradConv(conv, act, plan, self._arena)

    def _quickest(self, name: str, conv: nn.Conv2d, size: torch.Size) -> Plan | None:
        """Measure all ways of computing one layer; None: directly."""
        x = torch.randn(_part(size)).to(conv.weight.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        runs: dict[str, Callable[[Tensor], Tensor]] = {
            DIRECT: packed_conv(conv, x.shape, None, False)
        }
        plans = {str(plan): plan for plan in _plans(conv, size)}
        layers: dict[int, WinogradConv] = {}  # ways with the same tiles share the weights
        for key, plan in plans.items():
            if plan.tile not in layers:
                layers[plan.tile] = WinogradConv(conv, None, plan, self._arena)
            runs[key] = _planned(layers[plan.tile], plan)
        many = conv.weight.numel() > _MANY_WEIGHTS and conv.kernel_size != (1, 1)
        seconds = _measure(runs, x, self._other if many else None)
        best = min(seconds, key=lambda key: seconds[key])
        ratio = round(seconds[DIRECT] / seconds[best], 2)
        self.choices[size[0]][name] = {"by": best, "times as quick": ratio}
        return plans.get(best)


def _tiles(size: Sequence[int]) -> int:
    return size[0] * -(-size[2] // 4) * -(-size[3] // 4)


def _part(size: torch.Size) -> list[int]:
    """Cut maps down to what is enough to measure: images first, then rows."""
    images = min(size[0], -(-_MANY_TILES // _tiles((1, *size[1:]))))
    rows = size[2] if images > 1 else min(size[2], -(-_MANY_TILES // -(-size[3] // 4)) * 4 + 2)
    return [images, size[1], rows, size[3]]


def _plans(conv: nn.Conv2d, size: torch.Size) -> list[Plan]:
    """Give what is worth trying."""
    if conv.kernel_size == (1, 1):
        return [Plan(1, 24, False), Plan(1, 96, False), Plan(1, 192, True)]
    found = [Plan(4, 12, False), Plan(4, 24, False), Plan(4, 96, True)]
    if _tiles(size) <= _FEW_TILES:
        found += [Plan(2, 24, False), Plan(2, 192, True)]
    return found


def _planned(layer: WinogradConv, plan: Plan) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        layer.plan = plan
        return layer(x)

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
