from faked_results import passes

from convatlas.analysis.report import analyze
from convatlas.recipe import to_dict
from convatlas.recipes.lenet5 import RECIPES
from convatlas.studies.c3_table import ALL, NETWORKS, PARAMS, SIDE, STUDY, TABLE


def rows(table, all_connections):
    return {
        TABLE: {"test_error": table, "params": 60_000, "macs": 325_680},
        ALL: {"test_error": all_connections, "params": 60_900, "macs": 415_680},
    }


def test_half_a_point_may_be_lost_and_no_more():
    assert passes(STUDY, rows(0.0095, 0.0095))
    assert passes(STUDY, rows(0.049, 0.045))
    assert not passes(STUDY, rows(0.051, 0.045))


def test_the_counts_are_those_of_the_networks():
    for name, network in NETWORKS.items():
        assert analyze(network).params == PARAMS[name]


def test_digits_get_a_border_at_both_scales():
    for scale in ("small", "paper"):
        for case in STUDY.cases(scale):
            assert case.settings["side"] == SIDE
            assert case.settings["images"]["side"] is None
    for case in STUDY.cases("paper"):
        assert case.settings["recipe"] == to_dict(RECIPES["paper"])
        assert case.settings["images"]["train"] is None
