"""Do the two towers of a network look for different things? AlexNet's do: one for colour.

Krizhevsky, Sutskever, Hinton 2012, section 6.1 and Figure 3: the kernels of the first layer on one
GPU are largely colour-agnostic, those on the other largely colour-specific, in every run.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.visualize.filters import colour_share, first_layers

_SPLITS = 10_000
_RARE = 0.05


@dataclass(frozen=True, slots=True)
class Specialisation:
    """How the first filters of two towers differ in colour.

    Attributes:
        towers: Name and filters (K, 3, k, k) of each.
        colour: Mean share of colour of each; see `convatlas.visualize.filters.colour_share`.
        chance: How often the same filters, dealt out at random into two towers, differ at least as
            much.
    """

    towers: dict[str, Tensor]
    colour: tuple[float, float]
    chance: float

    @property
    def difference(self) -> float:
        """Give by how much colour counts more in the one tower than in the other, 0 to 1."""
        return abs(self.colour[0] - self.colour[1])

    @property
    def specialised(self) -> bool:
        """Say whether chance makes such a difference less often than once in twenty."""
        return self.chance < _RARE


def specialisation(model: nn.Module, *, splits: int = _SPLITS, seed: int = 0) -> Specialisation:
    """Compare the colour of the first filters of two towers.

    Args:
        model: Two towers side by side (`alexnet_towers`), or a first convolution whose maps the
            next ones see in two groups (`alexnet`).
        splits: How often the filters are dealt out at random, for `chance`.
        seed: Of the dealing.

    Raises:
        InputError: The network has no two towers, its filters span no three channels, or `splits`
            is below 1.
    """
    if splits < 1:
        raise InputError(f"filters are dealt out at least once, not {splits} times")
    towers = tower_filters(model)
    first, second = (colour_share(weights).double() for weights in towers.values())
    colour = (float(first.mean()), float(second.mean()))
    every = torch.cat([first, second])
    dealt = torch.rand(splits, len(every), generator=torch.Generator().manual_seed(seed))
    shares = every[dealt.argsort(dim=1)]
    apart = (shares[:, : len(first)].mean(dim=1) - shares[:, len(first) :].mean(dim=1)).abs()
    # the towers themselves are one way to deal; rounding must not make an equal difference smaller
    as_much = int((apart >= abs(colour[0] - colour[1]) - 1e-12).sum())
    return Specialisation(towers, colour, (as_much + 1) / (splits + 1))


def tower_filters(model: nn.Module) -> dict[str, Tensor]:
    """Give the first filters of each of two towers, (K, C, k, k), by the names of their layers.

    Errors are those of `specialisation`.
    """
    layers = first_layers(model)
    if len(layers) == 2:
        return layers
    (name, weights), *_ = layers.items()
    count = len(weights)
    if not any(_halves(module, count) for module in model.modules()):
        raise InputError(
            f"{type(model).__name__} has no two towers: no convolution sees the {count} maps of "
            f"{name!r} in two halves, as in alexnet and alexnet_towers"
        )
    first, second = weights.chunk(2)
    half = count // 2
    return {f"{name}, 1 to {half}": first, f"{name}, {half + 1} to {count}": second}


def _halves(module: nn.Module, channels: int) -> bool:
    return isinstance(module, nn.Conv2d) and module.groups == 2 and module.in_channels == channels
