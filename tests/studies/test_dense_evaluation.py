from types import SimpleNamespace

import torch
from faked_results import passes

from convatlas.studies.dense_evaluation import CASE, SCALES, STUDY, _difference
from convatlas.studies.small_nets import SIDE, small_vgg
from convatlas.transfer.fcn import to_fcn


def metrics(one, three, difference):
    found = {"dense_error": one, "multi_scale_error": three, "largest_difference": difference}
    return {CASE: found}


def test_the_papers_numbers_pass_and_reversed_ones_fail():
    assert passes(STUDY, metrics(0.256, 0.248, 1e-6))
    assert not passes(STUDY, metrics(0.248, 0.256, 1e-6))
    assert not passes(STUDY, metrics(0.256, 0.248, 1e-4))


def test_both_forms_of_the_small_network_are_one_function():
    torch.manual_seed(0)
    net = small_vgg().eval()
    preprocessing = SimpleNamespace(mean=(0.5,) * 3, size=(SIDE, SIDE))
    trained = SimpleNamespace(model=net, task=SimpleNamespace(preprocessing=preprocessing))
    assert _difference(trained) <= 1e-5


def test_the_three_sizes_give_maps_of_different_sizes():
    dense = to_fcn(small_vgg().eval(), (3, SIDE, SIDE))
    sides = [dense(torch.zeros(1, 3, side, side)).shape[-1] for side in SCALES[SIDE]]
    assert sides == sorted(sides)
    assert sides[0] < sides[-1]


def test_the_papers_scale_is_vgg_d_with_the_papers_sizes():
    [case] = STUDY.cases("paper")
    assert case.settings["network"].count("Conv2d") == 13
    assert case.settings["recipe"]["resize_shorter"] == 384 == SCALES[224][1]
    assert SCALES[224] == (256, 384, 512)
