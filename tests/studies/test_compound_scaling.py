import pytest
from faked_results import passes

from convatlas.analysis.report import analyze
from convatlas.catalog import build_meta
from convatlas.recipe import to_dict
from convatlas.recipes.efficientnet import RECIPES
from convatlas.studies.compound_scaling import (
    BASE,
    CLASSES,
    COMPOUND,
    PAPER,
    SINGLE,
    SMALL,
    SPREAD,
    STUDY,
)

# accuracy and billions of multiply-adds: Table 7
PRINTED = {
    BASE: (77.3, 0.4),
    SINGLE[0]: (79.0, 1.8),
    SINGLE[1]: (78.9, 1.8),
    SINGLE[2]: (79.1, 1.9),
    COMPOUND: (81.1, 1.8),
}


def rows(printed):
    return {name: {"test_error": 1 - a / 100, "macs": macs} for name, (a, macs) in printed.items()}


def test_the_papers_numbers_pass_and_reversed_ones_fail():
    assert passes(STUDY, rows(PRINTED))
    for name in SINGLE:
        swapped = {**PRINTED, COMPOUND: PRINTED[name], name: PRINTED[COMPOUND]}
        assert not passes(STUDY, rows(swapped))


def test_the_small_networks_cost_the_same():
    macs = {}
    for name, scaled in SMALL.items():
        network = f"resnet{6 * scaled.blocks + 2}_cifar"
        model = build_meta(network, num_classes=CLASSES, widths=scaled.widths)
        macs[name] = analyze(model, (3, scaled.side, scaled.side)).macs
    base = macs.pop(BASE)
    assert max(macs.values()) / min(macs.values()) < SPREAD
    assert all(count / base == pytest.approx(3.7, abs=0.1) for count in macs.values())


@pytest.mark.slow
def test_the_papers_scale_costs_about_what_table_7_prints():
    for case in STUDY.cases("paper"):
        depth, width, side = PAPER[case.name]
        model = build_meta("efficientnet_b0", depth_mult=depth, width_mult=width)
        macs = analyze(model, (3, side, side)).macs
        assert macs / 1e9 == pytest.approx(
            PRINTED[case.name][1], rel=0.25
        )  # printed ones are larger than counted ones
        assert case.settings["images"]["side"] == side
        assert case.settings["recipe"] == to_dict(RECIPES["imagenet"])
