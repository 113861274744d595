import pytest
import torch
from faked_results import passes
from torch import nn

from convatlas.catalog import build
from convatlas.layers import ResidualUnit
from convatlas.studies.gradients import gradient_norms
from convatlas.studies.identity_path import (
    AFTER,
    CLEAN,
    HINDERED,
    NETWORK,
    SHORTCUTS,
    STUDY,
    factor_from_1,
    left_in_stages,
)

BLOCKS = (2, 2, 2)


def judged(identity, hindered, after=0.5, whole=1.0):
    found = {CLEAN: {"shortcuts_left": identity, "all_left": whole}}
    found[AFTER] = {"shortcuts_left": after}
    return passes(STUDY, found | {name: {"shortcuts_left": hindered} for name in HINDERED})


def test_what_equations_5_and_8_say_passes_and_else_fails():
    assert judged(1.0, 0.5**51)
    assert judged(1.0, 1.4**51)
    assert not judged(0.5, 0.5**51)
    assert not judged(1.0, 0.5)
    assert not judged(1.0, 0.5**51, after=1.5)
    assert not judged(1.0, 0.5**51, whole=0.01)


def test_identities_pass_all_of_the_gradient_and_halves_half_of_it():
    torch.manual_seed(0)
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    for name, expected in ((CLEAN, 1.0), ("scaling by 0.5", 0.5**3)):
        net = build(NETWORK, 10, blocks=BLOCKS, **SHORTCUTS[name])
        units = [module for module in net.modules() if isinstance(module, ResidualUnit)]
        branches = [unit.branch for unit in units]
        norms = gradient_norms(net, units, images, labels, cut=branches)
        assert left_in_stages(net, norms) == pytest.approx(expected, rel=1e-5)


def test_gradient_norms_are_those_of_autograd_and_leave_no_hook_behind():
    torch.manual_seed(0)
    first, second = nn.Linear(4, 5), nn.Linear(5, 3)
    net = nn.Sequential(first, nn.ReLU(), second)
    images, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    hidden = first(images)
    loss = nn.functional.cross_entropy(second(hidden.relu()), labels)
    [expected] = torch.autograd.grad(loss, [hidden])
    [found] = gradient_norms(net, [first], images, labels)
    assert found == pytest.approx(float(expected.norm()))
    assert not any(module._forward_hooks for module in net.modules())


def test_a_share_is_as_far_from_1_as_its_inverse():
    assert factor_from_1(0.25) == factor_from_1(4.0) == 4.0
    assert factor_from_1(0.0) > 1e29


def test_both_scales_take_the_paper_s_network():
    for scale in ("small", "paper"):
        for case in STUDY.cases(scale):
            assert case.settings["network"] == NETWORK
            assert case.settings["options"] == SHORTCUTS[case.name]
