from faked_results import passes

from convatlas.data.card import DataCard
from convatlas.evaluate.protocols import CENTER, TenCrop
from convatlas.studies.lab import task_of
from convatlas.studies.ten_crop import CASE, SIDE, STUDY, WHOLE


def test_the_papers_numbers_pass_and_reversed_ones_fail():
    assert passes(STUDY, {CASE: {"test_error": 0.390, "ten_crop_error": 0.375}})
    assert not passes(STUDY, {CASE: {"test_error": 0.375, "ten_crop_error": 0.390}})


def test_crops_are_of_the_networks_size_and_reach_every_border():
    [case] = STUDY.cases("small")
    assert case.settings["side"] == SIDE
    assert case.settings["recipe"]["resize_shorter"] == case.settings["images"]["side"] == WHOLE
    card = DataCard(
        "x", "x", ("a", "b"), 3, (WHOLE, WHOLE), (0.5,) * 3, (0.5,) * 3, "bilinear", "", "", ""
    )

    class Pictures:
        pass

    pictures = Pictures()
    pictures.card = card
    preprocessing = task_of(pictures, WHOLE, SIDE).preprocessing
    views = TenCrop().views((WHOLE, WHOLE), preprocessing)
    assert {view.size for view in views} == {(SIDE, SIDE)}
    assert len({(view.box, view.mirrored) for view in views}) == 10
    assert {view.box[:2] for view in views} == {(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)}
    [centre] = CENTER.views((WHOLE, WHOLE), preprocessing)
    assert centre.box == (1, 1, SIDE, SIDE)


def test_the_papers_scale_is_alexnet_on_crops_of_227():
    [case] = STUDY.cases("paper")
    assert case.settings["images"]["side"] == 227
    assert case.settings["recipe"]["resize_shorter"] == 256
