"""Calibration equals a plain count, and knows a calibrated network from one that brags."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.errors import InputError
from convatlas.evaluate.calibration import calibrate


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 20),
)
def test_it_equals_a_count_bin_by_bin(images: list[tuple[float, bool]], bins: int) -> None:
    confidences = np.array([confidence for confidence, _ in images])
    right = np.array([r for _, r in images])
    found = calibrate(confidences.tolist(), right.tolist(), bins)
    gap = 0.0
    for i, bin_ in enumerate(found.bins):
        inside = (confidences > i / bins) & (confidences <= (i + 1) / bins)
        if i == 0:
            inside |= confidences == 0
        assert bin_.count == inside.sum()
        if bin_.count:
            assert bin_.accuracy == pytest.approx(right[inside].mean())
            assert bin_.confidence == pytest.approx(confidences[inside].mean())
            gap += inside.mean() * abs(right[inside].mean() - confidences[inside].mean())
        else:
            assert (bin_.accuracy, bin_.confidence) == (None, None)
    assert sum(bin_.count for bin_ in found.bins) == len(images)
    assert found.error == pytest.approx(gap, abs=1e-12)


def test_right_as_often_as_it_says_is_calibrated() -> None:
    right = [True, True, True, False] * 25
    assert calibrate([0.75] * 100, right).error == pytest.approx(0.0)
    assert calibrate([1.0] * 100, right).error == pytest.approx(0.25)


def test_there_are_fifteen_bins_of_equal_width() -> None:
    bins = calibrate([1.0], [True]).bins
    assert len(bins) == 15
    assert (bins[0].low, bins[-1].high) == (0.0, 1.0)
    assert all(one.high == two.low for one, two in pairwise(bins))
    assert bins[-1].count == 1


@pytest.mark.parametrize(
    ("confidences", "bins"), [([], 15), ([0.5], 0), ([1.5], 15), ([-0.1], 15), ([float("nan")], 15)]
)
def test_what_is_no_probability_is_refused(confidences: list[float], bins: int) -> None:
    with pytest.raises(InputError):
        calibrate(confidences, [True] * len(confidences), bins)
