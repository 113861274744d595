from faked_results import passes

from convatlas.analysis.report import analyze
from convatlas.recipe import to_dict
from convatlas.recipes.squeezenet import RECIPES
from convatlas.studies.squeeze_bypass import COMPLEX, NETWORKS, SIMPLE, STUDY, VANILLA


def rows(vanilla, simple, complex_):
    return {
        VANILLA: {"test_error": vanilla, "params": 1_248_424},
        SIMPLE: {"test_error": simple, "params": 1_248_424},
        COMPLEX: {"test_error": complex_, "params": 1_589_672},
    }


def test_the_papers_numbers_pass_and_reversed_ones_fail():
    assert passes(STUDY, rows(0.425, 0.396, 0.412))
    assert not passes(STUDY, rows(0.396, 0.425, 0.412))
    assert not passes(STUDY, rows(0.425, 0.412, 0.396))


def test_the_papers_scale_has_the_networks_of_table_3():
    for case, network in zip(STUDY.cases("paper"), NETWORKS.values(), strict=True):
        assert case.settings["recipe"] == to_dict(RECIPES["imagenet"])
        assert case.settings["images"]["side"] == 227
        assert analyze(network).params == rows(0, 0, 0)[case.name]["params"]


def test_small_networks_differ_in_their_bypasses_alone():
    vanilla, simple, complex_ = (case.settings["network"] for case in STUDY.cases("small"))
    assert "bypass" not in vanilla
    assert simple.count("(bypass): Identity()") == 4
    assert complex_.count("(bypass): Identity()") == 4
    assert complex_.count("(bypass): Conv2d") == 4
    kept = [line for line in simple.splitlines() if "bypass" not in line]
    assert kept == vanilla.splitlines()
