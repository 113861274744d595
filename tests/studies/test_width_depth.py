import pytest
from faked_results import passes

from convatlas.analysis.report import analyze
from convatlas.catalog import build_meta
from convatlas.recipe import to_dict
from convatlas.recipes import preact_resnet, wide_resnet
from convatlas.studies.width_depth import CLASSES, DEEP, STUDY, THIN, WIDE


def rows(wide=0.0453, deep=0.0492, ratio=1 / 8):
    return {
        DEEP: {"test_error": deep, "params": 10_327_706, "step_seconds": 1.0},
        WIDE: {"test_error": wide, "params": 8_949_210, "step_seconds": ratio},
    }


def test_the_papers_numbers_pass_and_reversed_ones_fail():
    assert passes(STUDY, rows())
    assert not passes(STUDY, rows(wide=0.055))
    assert not passes(STUDY, rows(ratio=0.8))


def test_the_small_networks_are_in_proportion_to_the_papers():
    deep = build_meta("preact_resnet164_cifar", num_classes=CLASSES, **THIN)
    wide = build_meta("wide_resnet10_2_cifar", num_classes=CLASSES)
    deep, wide = (analyze(model, (3, 16, 16)) for model in (deep, wide))
    assert 1 <= deep.params / wide.params <= 10_327_706 / 8_949_210
    assert deep.macs / wide.macs == pytest.approx(1487.85 / 1298.58, rel=0.1)


@pytest.mark.slow
def test_the_papers_scale_has_the_papers_networks():
    deep, wide = STUDY.cases("paper")
    assert deep.settings["recipe"] == to_dict(preact_resnet.RECIPES["cifar10"])
    assert wide.settings["recipe"] == to_dict(wide_resnet.RECIPES["cifar10"])
    assert analyze("preact_resnet1001_cifar").params == rows()[DEEP]["params"]
    assert analyze("wide_resnet40_4_cifar").params == rows()[WIDE]["params"]
