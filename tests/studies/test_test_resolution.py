from faked_results import passes

from convatlas.recipe import to_dict
from convatlas.recipes.resnext import RECIPES
from convatlas.studies.test_resolution import NAME, SIDES, STUDY, TRAINED


def rows(own, larger, largest):
    return {NAME: {"own_error": own, "larger_error": larger, "largest_error": largest}}


def test_the_papers_numbers_pass_and_reversed_ones_fail():
    assert passes(STUDY, rows(0.204, 0.197, 0.191))
    assert not passes(STUDY, rows(0.191, 0.197, 0.204))
    assert not passes(STUDY, rows(0.204, 0.197, 0.205))


def test_the_second_of_the_sizes_is_what_the_network_learns_from():
    for scale, sides in SIDES.items():
        [case] = STUDY.cases(scale)
        assert case.settings["side" if scale == "small" else "images"]
        assert sides[1] == TRAINED[scale]
        assert 1.4 < sides[3] / sides[1] <= 1.5
    [case] = STUDY.cases("paper")
    assert case.settings["recipe"] == to_dict(RECIPES["imagenet"])
    assert case.settings["images"]["side"] == TRAINED["paper"]
