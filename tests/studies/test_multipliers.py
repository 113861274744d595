import pytest
from faked_results import passes

from convatlas.analysis.report import analyze
from convatlas.catalog import build_meta
from convatlas.studies.multipliers import ALPHAS, SIDES, STUDY, spearman

# accuracy and millions of multiply-adds: Tables 6 and 7
PRINTED = {
    "1 at 224": (70.6, 569),
    "0.75 at 224": (68.4, 325),
    "0.5 at 224": (63.7, 149),
    "0.25 at 224": (50.6, 41),
    "1 at 192": (69.1, 418),
    "1 at 160": (67.2, 290),
    "1 at 128": (64.4, 186),
}


def rows(sign=1):
    return {
        name: {"test_error": 1 - sign * accuracy / 100, "macs": macs}
        for name, (accuracy, macs) in PRINTED.items()
    }


def test_the_papers_numbers_pass_and_reversed_ones_fail():
    assert passes(STUDY, rows())
    assert not passes(STUDY, rows(-1))


def test_the_cases_are_those_of_the_tables():
    cases = STUDY.cases("paper")
    assert [case.name for case in cases] == list(PRINTED)
    for case in cases[:4:3]:
        alpha, side = case.name.split(" at ")
        model = build_meta("mobilenet_v1", width_mult=float(alpha))
        macs = analyze(model, (3, int(side), int(side))).macs
        assert macs / 1e6 == pytest.approx(PRINTED[case.name][1], abs=1)


def test_small_images_shrink_as_the_papers_do():
    ratios = [[side / sides[0] for side in sides] for sides in SIDES.values()]
    assert ratios[0] == pytest.approx(ratios[1], abs=0.06)
    assert len(STUDY.cases("small")) == len(ALPHAS) + 3


def test_rank_correlation_is_of_ranks_alone():
    assert spearman([1, 2, 3, 4], [1, 10, 100, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [9, 5, 3, 1]) == pytest.approx(-1)
    # without ties: 1 - 6 sum d^2 / (n (n^2 - 1))
    assert spearman([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert spearman([1, 1, 2], [5, 5, 7]) == pytest.approx(1)
