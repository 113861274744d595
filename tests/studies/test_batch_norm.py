import torch
from faked_results import passes
from torch import nn

from convatlas.recipes.bn_inception import RECIPES
from convatlas.studies.batch_norm import RATE, STUDY, make_network

FAST = [0.5, 0.4, 0.3, 0.3, 0.3, 0.3]
SLOW = [0.8, 0.7, 0.65, 0.6, 0.55, 0.5]


def results(**changed):
    found = {
        "without, x1": {"val_error_curve": SLOW, "train_error": 0.5},
        "without, x30": {"val_error_curve": [0.9, *[None] * 5], "train_error": 0.9},
        "batch norm, x1": {"val_error_curve": [0.6, *FAST[1:]], "train_error": 0.3},
        "batch norm, x5": {"val_error_curve": FAST, "train_error": 0.3},
        "batch norm, x30": {"val_error_curve": FAST, "train_error": 0.4},
    }
    for name, metrics in changed.items():
        found[name.replace("_", ", ").replace("batchnorm", "batch norm")] |= metrics
    return found


def test_figure_3_passes_and_reversed_it_fails():
    assert passes(STUDY, results())
    assert not passes(STUDY, results(batchnorm_x1={"val_error_curve": SLOW}))
    assert not passes(STUDY, results(batchnorm_x5={"val_error_curve": SLOW}))
    assert not passes(STUDY, results(without_x30={"train_error": 0.5}))
    assert not passes(STUDY, results(batchnorm_x30={"train_error": 0.88}))


def test_a_network_that_never_gets_there_is_slow():
    never = {"val_error_curve": [0.8] * 6}
    assert not passes(STUDY, results(batchnorm_x1=never))
    assert not passes(STUDY, results(batchnorm_x5=never))


def test_the_networks_differ_in_batch_norm_alone():
    with_, without = make_network(True), make_network(False)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in with_.modules()) == 9
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in without.modules())
    for net in (with_, without):
        assert sum(isinstance(layer, nn.Conv2d) for layer in net.modules()) == 9
        assert net(torch.zeros(2, 3, 16, 16)).shape == (2, 10)


def test_the_paper_s_scale_is_inception_at_1_5_and_30_times_its_rate():
    rates = [case.settings["recipe"]["optimizer"]["lr"] for case in STUDY.cases("paper")]
    assert rates == [RATE["paper"] * times for times in (1, 30, 1, 5, 30)]
    assert rates[-1] == RECIPES["imagenet"].optimizer.lr
    assert rates[-2] == RECIPES["imagenet_x5"].optimizer.lr
    for case in STUDY.cases("paper"):
        assert case.settings["images"]["source"] == STUDY.source_of("paper") == "imagenet"
        assert ("BatchNorm2d" in case.settings["network"]) == case.name.startswith("batch norm")
