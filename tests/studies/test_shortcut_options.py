import pytest
from faked_results import passes

from convatlas.recipe import to_dict
from convatlas.recipes.resnet import RECIPES
from convatlas.studies.shortcut_options import NETWORK, OPTIONS, STUDY
from convatlas.studies.thin_nets import thin_network


def results(a, b, c, none, params=(464_154, 464_154)):
    errors = dict(zip("ABC", (a, b, c), strict=True)) | {"none": none}
    found = {name: {"test_error": error} for name, error in errors.items()}
    found["A"]["params"], found["none"]["params"] = params
    return found


def test_table_3_passes():
    assert passes(STUDY, results(0.2503, 0.2452, 0.2419, 0.2854))


@pytest.mark.parametrize(
    "wrong",
    [
        results(0.25, 0.25, 0.25, 0.26),  # too little is gained
        results(0.10, 0.20, 0.20, 0.25),  # the options differ by more than is gained
        results(0.25, 0.24, 0.24, 0.29, params=(464_155, 464_154)),
    ],
)
def test_what_the_paper_does_not_say_fails(wrong):
    assert not passes(STUDY, wrong)


def test_the_paper_s_scale_differs_in_the_shortcuts_alone():
    for case in STUDY.cases("paper"):
        assert case.settings["recipe"] == to_dict(RECIPES["cifar10"])
    counts = {
        name: sum(p.numel() for p in thin_network("paper", NETWORK, shortcut=option)().parameters())
        for name, option in OPTIONS.items()
    }
    assert counts["A"] == counts["none"] == 464_154
    assert counts["B"] == 466_906
    assert counts["C"] > counts["B"]
