"""Overlaps, Rand error and warping error, on hand-made cells and by brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from convatlas.data.components import components
from convatlas.evaluate.overlap import (
    dice,
    intersection_over_union,
    mean_of_known,
    pixel_error,
    rand_error,
)
from convatlas.evaluate.segmentation import count_pixels
from convatlas.evaluate.warping import split_merge_error, warp, warping_error

binary = arrays(np.uint8, (5, 6), elements=st.integers(0, 1))


def drawn(*rows):
    return np.array([[character != "." for character in row] for row in rows], np.uint8)


@given(
    arrays(np.uint8, (6, 7), elements=st.integers(0, 2)),
    arrays(np.uint8, (6, 7), elements=st.integers(0, 2)),
)
def test_overlaps_are_those_of_sets(truth, predicted):
    confusion = count_pixels(truth, predicted, 3)
    for label in range(3):
        one, two = truth == label, predicted == label
        either, both = (one | two).sum(), (one & two).sum()
        assert intersection_over_union(confusion)[label] == (both / either if either else None)
        assert dice(confusion)[label] == (2 * both / (one.sum() + two.sum()) if either else None)
    assert pixel_error(confusion) == pytest.approx((truth != predicted).mean())


def test_a_class_that_is_nowhere_does_not_count():
    confusion = count_pixels(np.zeros((2, 2), int), np.zeros((2, 2), int), 3)
    assert intersection_over_union(confusion) == [1.0, None, None]
    assert mean_of_known(dice(confusion)) == 1.0


@given(binary, binary)
def test_rand_error_counts_pairs_of_pixels(truth, predicted):
    inside = truth != 0
    one, two = components(truth)[inside], components(predicted)[inside]
    alone = two == 0
    two[alone] = -np.arange(1, alone.sum() + 1)  # each a cell of its own
    pairs = list(itertools.product(range(len(one)), repeat=2))
    in_truth = sum(one[i] == one[j] for i, j in pairs)
    in_prediction = sum(two[i] == two[j] for i, j in pairs)
    both = sum(one[i] == one[j] and two[i] == two[j] for i, j in pairs)
    wanted = 1 - 2 * both / (in_truth + in_prediction) if pairs else 0.0
    assert rand_error(truth, predicted) == pytest.approx(wanted)


def test_two_cells_that_are_merged_have_half_the_precision():
    apart, merged = drawn("###.###"), drawn("#######")
    # 18 pairs in the truth; the merged cell has 36 inside it: precision 1/2, recall 1
    assert rand_error(apart, merged) == pytest.approx(1 - 2 * 0.5 / 1.5)
    assert rand_error(apart, apart) == 0


@pytest.mark.parametrize("found", ["###.#####", "####..###", "###...###", "#####.###"])
def test_a_border_that_is_thicker_or_lies_aside_costs_nothing(found):
    truth, other = drawn(*["####.####"] * 3), drawn(*[found] * 3)
    assert (truth != other).any()
    assert warping_error(truth, other) == 0
    assert np.array_equal(warp(truth, other), other)


def test_a_gap_in_a_membrane_costs_the_gap():
    truth = drawn("####.####", "####.####", "####.####")
    gap = drawn("####.####", "#########", "####.####")
    assert warping_error(truth, gap) == pytest.approx(1 / 27)


@pytest.mark.parametrize(
    "predicted",
    [
        drawn("#####", "##.##", "#####"),  # a hole
        drawn("##.##", "##.##", "##.##"),  # split in two
        drawn(".....", ".....", "....."),  # the cell is lost, up to its last pixel
    ],
)
def test_a_change_of_topology_costs_at_least_a_pixel(predicted):
    truth = drawn("#####", "#####", "#####")
    warped = warp(truth, predicted)
    assert 1 / 15 <= warping_error(truth, predicted) <= 3 / 15
    assert components(warped).max() == 1
    assert components(1 - np.pad(warped, 1), diagonal=True).max() == 1


@given(binary, binary)
def test_warping_keeps_the_number_of_cells_and_holes(truth, predicted):
    warped = warp(truth, predicted)
    changed = warped != (truth != 0)
    assert (warped[changed] == (predicted[changed] != 0)).all()  # only towards the prediction
    for array in (truth, warped):
        assert components(array).max() == components(truth).max()
        around = np.pad(array, 1).astype(np.uint8)
        wanted = components(1 - np.pad(truth, 1), diagonal=True).max()
        assert components(1 - around, diagonal=True).max() == wanted


@pytest.mark.parametrize("seed", range(6))
def test_warping_ends_where_no_flip_is_left(seed):
    """The least error over all orders, by search; a fixed order ends where no flip is left."""
    rng = np.random.default_rng(seed)
    truth, predicted = (rng.random((2, 4, 4)) < 0.6).astype(np.uint8)
    seen, waiting = set(), [truth.tobytes()]
    least = truth.size
    while waiting:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        here = np.frombuffer(state, np.uint8).reshape(4, 4)
        wrong = np.argwhere(here != predicted)
        least = min(least, len(wrong))
        for row, column in wrong:
            there = here.copy()
            there[row, column] ^= 1
            only = np.where(np.arange(16).reshape(4, 4) == row * 4 + column, there, here)
            if np.array_equal(warp(here, only), only != 0):  # that one flip is simple
                waiting.append(there.tobytes())
    warped = warp(truth, predicted)
    assert warping_error(truth, predicted) * 16 == (warped != predicted).sum() >= least
    assert np.array_equal(warp(warped, predicted), warped)


@pytest.mark.parametrize(
    ("truth", "predicted", "pixels"),
    [
        (["###.###"], ["#######"], 1),  # a merger
        (["#######"], ["###.###"], 1),  # a split
        (["#####", "#####", "#####"], ["#####", "##.##", "#####"], 0),  # a hole
        (["#####", "##.##", "#####"], ["#####", "#####", "#####"], 0),  # a hole filled
        (["###", "...", "..."], ["###", "...", ".#."], 0),  # a new cell
        (["#####", "#...#", "#####"], ["##.##", "#...#", "#####"], 0),  # a ring opened
        (["#####", "#####"], ["##.##", "##.##"], 1),  # one of the two pixels is simple
        (["##.##", "##.##"], ["#####", "#####"], 2),  # either would join the cells
    ],
)
def test_splits_and_mergers_are_told_from_other_errors(truth, predicted, pixels):
    truth, predicted = drawn(*truth), drawn(*predicted)
    assert split_merge_error(truth, predicted) * truth.size == pytest.approx(pixels)


@given(binary, binary)
def test_splits_and_mergers_change_the_number_of_cells(truth, predicted):
    warped = warp(truth, predicted).astype(np.uint8)
    count = 0
    for row, column in np.argwhere(warped != predicted):
        flipped = warped.copy()
        flipped[row, column] ^= 1
        cells, others = components(warped).max(), components(flipped).max()
        joined = not warped[row, column] and others < cells
        count += joined or (warped[row, column] and others > cells)
    assert split_merge_error(truth, predicted) * truth.size == pytest.approx(count)
    assert split_merge_error(truth, predicted) <= warping_error(truth, predicted)
