from faked_results import passes

from convatlas.recipe import to_dict
from convatlas.recipes.alexnet import RECIPES
from convatlas.studies.lrn import STUDY, WEAK, WITH, WITHOUT


def test_the_papers_numbers_pass_and_vggs_fail():
    alexnet = {WITHOUT: {"test_error": 0.13}, WITH: {"test_error": 0.11}}
    vgg = {WITHOUT: {"test_error": 0.296}, WITH: {"test_error": 0.297}}
    assert passes(STUDY, alexnet)
    assert not passes(STUDY, vgg)


def test_the_networks_differ_in_the_normalization_alone():
    without, with_, weak = (case.settings["network"] for case in STUDY.cases("small"))
    assert "LocalResponseNorm" not in without
    assert with_.count("LocalResponseNorm") == weak.count("LocalResponseNorm") == 2
    lines = [line for line in with_.splitlines() if "LocalResponseNorm" not in line]
    assert lines == without.splitlines()
    assert [case.name for case in STUDY.cases("small")] == [WITHOUT, WITH, WEAK]


def test_the_papers_scale_is_alexnet_as_the_paper_trained_it():
    without, with_ = STUDY.cases("paper")
    assert with_.settings["network"].count("LocalResponseNorm") == 2
    assert "LocalResponseNorm" not in without.settings["network"]
    for case in (without, with_):
        assert case.settings["recipe"] == to_dict(RECIPES["imagenet"])
        assert case.settings["images"]["source"] == STUDY.source_of("paper") == "imagenet"
