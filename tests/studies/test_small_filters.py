import torch
from faked_results import passes

from convatlas.analysis.report import analyze
from convatlas.architectures.vgg import TABLE_1, Conv
from convatlas.catalog import build
from convatlas.studies.small_filters import (
    LARGE,
    SMALL,
    STACKS,
    STUDY,
    WIDTH,
    _counted,
    _joined,
)


def metrics(error, weights, field=7):
    return {"test_error": error, "stack_weights": weights * WIDTH**2, "stack_field": field}


def test_the_papers_numbers_pass_and_reversed_ones_fail():
    assert passes(STUDY, {SMALL: metrics(0.287, 27), LARGE: metrics(0.357, 49)})
    assert not passes(STUDY, {SMALL: metrics(0.357, 27), LARGE: metrics(0.287, 49)})
    assert not passes(STUDY, {SMALL: metrics(0.287, 27, 5), LARGE: metrics(0.357, 49)})
    assert not passes(STUDY, {SMALL: metrics(0.287, 28), LARGE: metrics(0.357, 49)})


def test_three_small_filters_see_as_far_as_a_large_one_with_fewer_weights():
    assert _counted(STACKS[SMALL]) == {"stack_weights": 27 * WIDTH**2, "stack_field": 7}
    assert _counted(STACKS[LARGE]) == {"stack_weights": 49 * WIDTH**2, "stack_field": 7}


def test_the_papers_network_of_5x5_filters_sees_as_far_as_b():
    small, large = STUDY.cases("paper")
    assert small.settings["network"].count("kernel_size=(3, 3)") == 10
    assert large.settings["network"].count("kernel_size=(5, 5)") == 5
    wide = tuple(_joined(block) for block in TABLE_1["B"])
    assert wide[0] == (Conv(5, 64),)
    with torch.device("meta"):
        networks = build("vgg13"), build("vgg13", blocks=wide)
    fields = [analyze(net, (3, 224, 224)).receptive_field for net in networks]
    assert fields[0] == fields[1]
