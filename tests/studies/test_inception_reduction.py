from faked_results import passes

from convatlas.analysis.report import analyze
from convatlas.architectures.googlenet import make_module, make_naive_module
from convatlas.studies.inception_reduction import (
    EXAMPLE_MACS,
    NAIVE,
    REDUCED,
    STUDY,
    _example_macs,
    _rows,
)
from convatlas.studies.small_inception import SmallInception


def metrics(error, example, macs):
    return {"test_error": error, "example_macs": example, "macs": macs}


def test_the_counted_numbers_pass_and_the_lecture_s_slip_fails():
    naive = metrics(0.30, 854_196_224, 854)
    assert passes(STUDY, {NAIVE: naive, REDUCED: metrics(0.31, 271_351_808, 271)})
    assert not passes(STUDY, {NAIVE: naive, REDUCED: metrics(0.31, 358_061_056, 358)})
    assert not passes(STUDY, {NAIVE: naive, REDUCED: metrics(0.33, 271_351_808, 271)})


def test_the_example_is_counted_to_the_operation():
    assert _example_macs(make_naive_module) == EXAMPLE_MACS[NAIVE] == 854_196_224
    assert _example_macs(make_module) == EXAMPLE_MACS[REDUCED] == 271_351_808
    twice = 28 * 28 * 64 * 192 * 9  # the 3x3 convolution
    assert round((EXAMPLE_MACS[REDUCED] + twice) / 1e6) == 358


def test_both_small_networks_have_equally_many_maps_and_one_has_half_the_cost():
    nets = [SmallInception(_rows(), module) for module in (make_naive_module, make_module)]
    heads = [net.get_submodule("head.fc").in_features for net in nets]
    assert heads[0] == heads[1]
    naive, reduced = (analyze(net, (3, 16, 16)).macs for net in nets)
    assert reduced < naive / 2


def test_the_papers_scale_is_googlenet_and_its_naive_form():
    naive, reduced = STUDY.cases("paper")
    assert "(reduce)" in reduced.settings["network"]
    assert naive.settings["network"].count("Conv2d") < reduced.settings["network"].count("Conv2d")
