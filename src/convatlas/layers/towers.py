"""A net cut into two towers that may live on two devices (Krizhevsky et al. 2012, section 3.2)."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from convatlas.layers.response_norm import LocalResponseNorm


class TowerNorm(nn.Module):
    """Local response normalization of one tower's maps, which sees the nearest of the other's.

    The maps at the common border, half a neighbourhood each way, are exchanged: so two towers
    compute what one net of two groups does.
    """

    def __init__(self, norm: LocalResponseNorm) -> None:
        super().__init__()
        self.norm = norm
        self.border = norm.size // 2

    def forward(self, below: Tensor, maps: Tensor, above: Tensor) -> Tensor:
        """Normalise `maps` as if `below` and `above` stood beside them; the shape stays."""
        y = self.norm(torch.cat([below, maps, above], 1))
        return y.narrow(1, below.shape[1], maps.shape[1])


class Towers(nn.Module):
    """Two towers of half of each layer that run in step, each on the device of its weights.

    (N, C, ...) -> (N, C', ...): the maps of both, on the device of the first.
    """

    def __init__(self, layers: list[OrderedDict[str, nn.Module]], crossing: set[str]) -> None:
        super().__init__()
        self.tower1, self.tower2 = (nn.Sequential(tower) for tower in layers)
        self.crossing = crossing  # the layers that see the maps of both towers

    def forward(self, x: Tensor) -> Tensor:
        """Exchange all maps before a crossing layer, those at the border in a `TowerNorm`."""
        first, second = (next(tower.parameters()).device for tower in (self.tower1, self.tower2))
        halves = [x]
        pairs = zip(self.tower1.named_children(), self.tower2.children(), strict=True)
        for (name, one), two in pairs:
            if name in self.crossing:
                halves = [one(_join(halves, first)), two(_join(halves, second))]
            elif isinstance(one, TowerNorm):
                left, right = halves
                above, below = right[:, : one.border].to(first), left[:, -one.border :].to(second)
                halves = [one(left[:, :0], left, above), two(below, right, right[:, :0])]
            else:
                halves = [one(halves[0]), two(halves[1])]
        return _join(halves, first)


def _join(halves: list[Tensor], device: torch.device) -> Tensor:
    moved = [half.to(device) for half in halves]
    return moved[0] if len(moved) == 1 else torch.cat(moved, 1)
