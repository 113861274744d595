import math

import pytest
import torch
from faked_results import passes
from torch import nn

from convatlas.recipe import to_dict
from convatlas.recipes.vgg import RECIPES
from convatlas.studies.initialization import (
    DRAWS,
    GLOROT,
    HE,
    LARGE,
    SMALL,
    STUDY,
    make_network,
    output_scales,
)

FLAT = math.log(10)


def results(**changed):
    found = {
        SMALL: {"train_loss_curve": [FLAT] * 3},
        LARGE: {"first_loss": 1e5, "train_error": 0.9},
        GLOROT: {"train_loss": 2.0},
        HE: {"train_loss": 1.9, "growth": 0.8},
    }
    for name, metrics in changed.items():
        found[{"small": SMALL, "large": LARGE, "glorot": GLOROT, "he": HE}[name]] |= metrics
    return found


def test_what_the_papers_say_passes():
    assert passes(STUDY, results())


@pytest.mark.parametrize(
    "changed",
    [
        {"small": {"train_loss_curve": [FLAT, 2.2, 2.0]}},
        {"large": {"first_loss": 3.0}},
        {"large": {"train_error": 0.5}},
        {"he": {"train_loss": FLAT}},
        {"he": {"growth": 20.0}},
        {"he": {"growth": 0.01}},
        {"glorot": {"train_loss": FLAT}},
    ],
)
def test_else_fails(changed):
    assert not passes(STUDY, results(**changed))


def test_scales_are_those_of_each_layer_s_output():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    images = torch.randn(16, 8)
    (first, last), logits = output_scales(net, [net[0], net[2]], images)
    hidden = net[0](images).detach()
    assert first == pytest.approx(float(hidden.square().mean().sqrt()), rel=1e-5)
    assert last == pytest.approx(float(logits.square().mean().sqrt()), rel=1e-5)
    assert not any(module._forward_hooks for module in net.modules())


def test_weights_are_drawn_as_their_name_says():
    torch.manual_seed(0)
    for name, std in ((SMALL, 0.01), (LARGE, 0.1), (HE, math.sqrt(2 / 512))):
        fc7 = make_network(name).head.fc7
        assert float(fc7.weight.detach().std()) == pytest.approx(std, rel=0.02)
        assert not fc7.bias.any()


def test_the_paper_s_scale_is_configuration_a():
    with torch.device("meta"):
        net = make_network(HE, whole=True)
    assert sum(p.numel() for p in net.parameters()) == 132_863_336
    assert [case.name for case in STUDY.cases("paper")] == list(DRAWS)
    for case in STUDY.cases("paper"):
        assert case.settings["recipe"] == to_dict(RECIPES["imagenet"])
        assert case.settings["images"]["source"] == STUDY.source_of("paper") == "imagenet"
