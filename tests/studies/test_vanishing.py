import pytest
import torch
from faked_results import passes
from torch import nn

from convatlas.studies.gradients import gradient_norms
from convatlas.studies.vanishing import RATES, STACKS, STUDY, dead_share, make_stack, make_units


def results(left=(1e-12, 0.5, 2.0), dead=(0.0, 0.1, 0.2, 0.6)):
    found = {kind: {"gradient_left": x} for kind, x in zip(STACKS, left, strict=True)}
    shares = zip(RATES, dead, strict=True)
    return found | {f"ReLU, rate {rate:g}": {"dead": share} for rate, share in shares}


def test_what_the_lecture_says_passes():
    assert passes(STUDY, results())


@pytest.mark.parametrize(
    "wrong",
    [
        results(left=(0.5, 0.5, 2.0)),
        results(left=(1e-12, 1e-12, 2.0)),
        results(left=(1e-12, 1e12, 2.0)),
        results(left=(1e-12, 0.5, 0.01)),
        results(dead=(0.6, 0.2, 0.1, 0.0)),
    ],
)
def test_else_fails(wrong):
    assert not passes(STUDY, wrong)


def test_units_are_dead_where_every_image_leaves_them_at_zero():
    layer = nn.Linear(2, 4)
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([1.0, -1.0, 0.0, 2.0]))
    net = nn.Sequential(layer, nn.ReLU())
    assert dead_share(net, torch.randn(3, 2)) == 0.5
    assert not net[1]._forward_hooks
    assert dead_share(make_units(), torch.randn(64, 3, 16, 16)) < 0.05


def test_a_sigmoid_lets_at_most_a_quarter_of_the_gradient_through():
    torch.manual_seed(0)
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    left = {}
    for kind in STACKS:
        net = make_stack(kind, 6, 8)
        norms = gradient_norms(net, list(net.stages), images, labels)
        assert len(norms) == 6
        left[kind] = norms[0] / norms[-1]
    assert left["sigmoid"] < 1e-2 < left["ReLU"] < 1e2
    assert left["residual"] > 0.1
    assert {case.name for case in STUDY.cases("paper")} > set(STACKS)
