"""Boxes around the largest region of a heat map."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.errors import InputError
from convatlas.visualize.boxes import heat_boxes


def test_the_largest_region_above_a_fifth_of_the_peak() -> None:
    heat = torch.zeros(1, 10, 12)
    heat[0, 1, 1] = 1.0  # the peak, alone
    heat[0, 4:7, 5:9] = 0.3
    heat[0, 7, 9] = 0.25  # touches at a corner
    heat[0, 4:7, 10:12] = 0.19
    assert heat_boxes(heat) == [(4, 5, 8, 10)]
    assert heat_boxes(heat, 0.5) == [(1, 1, 2, 2)]


def test_each_map_has_its_own_box_and_an_empty_one_has_none() -> None:
    heat = torch.zeros(3, 4, 4)
    heat[0, 0, 3] = 7.0
    heat[2] = 0.01
    assert heat_boxes(heat) == [(0, 3, 1, 4), None, (0, 0, 4, 4)]


def test_of_regions_of_one_size_the_first_counts() -> None:
    assert heat_boxes(torch.tensor([[[1.0, 0, 2.0]]])) == [(0, 0, 1, 1)]


def grown(mask: np.ndarray, row: int, column: int) -> set[tuple[int, int]]:
    """Give the region of a place by a plain flood."""
    found, border = set(), [(row, column)]
    while border:
        r, c = border.pop()
        inside = 0 <= r < mask.shape[0] and 0 <= c < mask.shape[1]
        if inside and mask[r, c] and (r, c) not in found:
            found.add((r, c))
            border += [(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9), st.floats(0.1, 0.9))
def test_boxes_equal_those_of_a_flood(seed: int, height: int, width: int, share: float) -> None:
    values = np.random.default_rng(seed).random((height, width)) ** 3
    mask = values > share * values.max()
    regions = [grown(mask, r, c) for r, c in np.argwhere(mask).tolist()]
    rows, columns = zip(*max(regions, key=len), strict=True)  # of equal ones the first
    box = (min(rows), min(columns), max(rows) + 1, max(columns) + 1)
    assert heat_boxes(torch.tensor(values)[None], share) == [box]
    assert heat_boxes(3 * torch.tensor(values)[None], share) == [box]


@pytest.mark.parametrize(
    ("heat", "share", "message"),
    [
        (torch.rand(4, 4), 0.2, r"heat maps are \(N, H, W\); got \(4, 4\)"),
        (torch.rand(1, 4, 4), 0.0, "above 0 and below 1, not 0"),
        (torch.rand(1, 4, 4), 1.0, "above 0 and below 1, not 1"),
        (-torch.rand(1, 4, 4), 0.2, "finite and not negative"),
        (torch.full((1, 2, 2), torch.nan), 0.2, "finite and not negative"),
    ],
)
def test_what_is_no_evidence_is_refused(heat: torch.Tensor, share: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        heat_boxes(heat, share)
