"""Two towers, and whether one of them looks for colour."""

import pytest
import torch
from torch import nn

import convatlas as ca
from convatlas.errors import InputError
from convatlas.visualize.filters import first_filters
from convatlas.visualize.towers import specialisation, tower_filters

SMALL = {"num_classes": 3, "units": 4, "input_size": 67}


def greyed(weights: torch.Tensor) -> None:
    with torch.no_grad():
        weights.copy_(weights.mean(dim=1, keepdim=True).expand_as(weights))


@pytest.mark.parametrize("name", ["alexnet_towers", "alexnet", "caffenet"])
@pytest.mark.parametrize("seed", [0, 1])
def test_fresh_weights_show_no_specialisation(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    found = specialisation(ca.create(name, **SMALL))
    assert not found.specialised
    assert found.colour == pytest.approx((2 / 3, 2 / 3), abs=0.02)  # three channels of pure noise
    assert found.difference < 0.02


def test_a_tower_without_colour_is_found() -> None:
    torch.manual_seed(0)
    model = ca.create("alexnet_towers", **SMALL)
    greyed(model.get_submodule("stages.towers.tower2.conv1").weight)
    found = specialisation(model, splits=200)
    assert list(found.towers) == ["stages.towers.tower1.conv1", "stages.towers.tower2.conv1"]
    assert found.colour[1] == pytest.approx(0, abs=1e-9)
    assert found.difference == pytest.approx(found.colour[0], abs=1e-9)
    assert found.specialised
    assert found.chance == pytest.approx(1 / 201)


def test_towers_and_halves_of_the_same_weights_are_the_same() -> None:
    torch.manual_seed(0)
    towers, halves = ca.create("alexnet_towers", **SMALL), ca.create("alexnet", **SMALL)
    name, weights = first_filters(towers)
    assert name == "stages.towers.tower1.conv1 and stages.towers.tower2.conv1"
    with torch.no_grad():
        halves.get_submodule("stages.conv1").weight.copy_(weights)
    greyed(halves.get_submodule("stages.conv1").weight[:48])
    greyed(towers.get_submodule("stages.towers.tower1.conv1").weight)
    one, other = specialisation(towers), specialisation(halves)
    assert (one.colour, one.chance) == (other.colour, other.chance)
    assert list(other.towers) == ["stages.conv1, 1 to 48", "stages.conv1, 49 to 96"]
    assert [len(weights) for weights in other.towers.values()] == [48, 48]


def test_half_of_the_deals_differ_more_where_there_is_no_difference() -> None:
    """The chance of a user's network is that of a test of permutations."""
    torch.manual_seed(3)
    chances = []
    for _ in range(40):
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1, groups=2))
        chances.append(specialisation(model, splits=300).chance)
    assert 0.3 < sum(chances) / len(chances) < 0.7
    assert sum(chance < 0.05 for chance in chances) <= 6


def test_networks_without_towers_are_refused() -> None:
    for name in ("alexnet_ungrouped", "squeezenet1_1", "mobilenet_v1_025"):
        with pytest.raises(InputError, match="has no two towers"):
            tower_filters(ca.create(name, num_classes=3))
    grey = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 4, 1, groups=2))
    with pytest.raises(InputError, match="colour is that of filters"):
        specialisation(grey)
    with pytest.raises(InputError, match="at least once, not 0 times"):
        specialisation(grey, splits=0)
