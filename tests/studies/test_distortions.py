from faked_results import passes

from convatlas.recipe import to_dict
from convatlas.recipes.lenet5 import RECIPES
from convatlas.studies.distortions import DISTORTED, PLAIN, STUDY


def test_the_papers_order_passes_and_the_reversed_one_fails():
    better, worse = {"test_error": 0.040}, {"test_error": 0.047}
    assert passes(STUDY, {PLAIN: worse, DISTORTED: better})
    assert not passes(STUDY, {PLAIN: better, DISTORTED: worse})


def test_both_learn_for_as_many_steps_and_differ_in_the_distortion_alone():
    plain, distorted = (case.settings for case in STUDY.cases("small"))
    assert plain["network"] == distorted["network"]
    assert plain["images"] == distorted["images"]
    changed = [key for key, value in plain["recipe"].items() if distorted["recipe"][key] != value]
    assert changed == ["augment"]
    assert [op["kind"] for op in distorted["recipe"]["augment"]] == ["Resize", "Affine"]


def test_the_papers_scale_has_the_papers_recipes():
    plain, distorted = (case.settings["recipe"] for case in STUDY.cases("paper"))
    assert plain == to_dict(RECIPES["paper"])
    assert distorted == to_dict(RECIPES["paper_distorted"])
