import pytest
from faked_results import passes
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.recipe import to_dict
from convatlas.recipes.mobilenet_v1 import RECIPES
from convatlas.studies.separable import FULL, SEPARABLE, STUDY, ratio_error


def rows(separable, full, ratio=0.0):
    return {
        SEPARABLE: {"test_error": separable, "macs": 568_740_352, "ratio_error": ratio},
        FULL: {"test_error": full, "macs": 4_867_293_184, "ratio_error": ratio},
    }


def test_the_papers_numbers_pass_and_a_larger_loss_fails():
    assert passes(STUDY, rows(0.294, 0.283))
    assert not passes(STUDY, rows(0.324, 0.283))
    assert not passes(STUDY, rows(0.294, 0.283, ratio=1e-9))


@pytest.mark.parametrize("stride", [1, 2])
@settings(max_examples=15, deadline=None)
@given(channels=st.integers(1, 40), out=st.integers(1, 40))
def test_a_separable_block_costs_what_section_3_1_says(stride, channels, out):
    assert ratio_error(channels, out, stride) == 0


def test_the_papers_scale_has_the_networks_of_table_4():
    separable, full = STUDY.cases("paper")
    assert "dw" in separable.settings["network"]
    assert "dw" not in full.settings["network"]
    assert separable.settings["recipe"] == full.settings["recipe"] == to_dict(RECIPES["imagenet"])
