"""Connected regions, distances to them, and the weights of borders."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from convatlas.data.borders import border_weights
from convatlas.data.components import components, two_nearest

small = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 2)
)


def flooded(classes, diagonal):
    """The same by a flood fill, pixel by pixel."""
    found, number = np.zeros(classes.shape, int), 0
    for start in zip(*np.nonzero(classes), strict=True):
        if found[start]:
            continue
        number += 1
        waiting = [start]
        while waiting:
            row, column = waiting.pop()
            if found[row, column]:
                continue
            found[row, column] = number
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    if not diagonal and down and right:
                        continue
                    y, x = row + down, column + right
                    inside = 0 <= y < classes.shape[0] and 0 <= x < classes.shape[1]
                    if inside and classes[y, x] == classes[row, column]:
                        waiting.append((y, x))
    return found


@given(small, st.booleans())
def test_components_are_those_of_a_flood_fill(classes, diagonal):
    assert np.array_equal(components(classes, diagonal=diagonal), flooded(classes, diagonal))


def test_a_corner_connects_only_by_eight_neighbours():
    corner = np.array([[1, 0], [0, 1]])
    assert components(corner).max() == 2
    assert components(corner, diagonal=True).max() == 1


@given(small, st.integers(1, 6))
def test_distances_are_those_of_all_pairs(classes, radius):
    regions = components(classes)
    rows, columns = np.indices(classes.shape)
    each = [np.full(classes.shape, np.inf)] * 2
    for number in range(1, regions.max() + 1):
        ys, xs = np.nonzero(regions == number)
        away = (rows[..., None] - ys) ** 2 + (columns[..., None] - xs) ** 2
        each.append(np.sqrt(away.min(axis=2)))
    wanted = np.sort(np.stack(each), axis=0)[:2]
    wanted[wanted > radius] = np.inf
    assert np.array(two_nearest(regions, radius)) == pytest.approx(wanted)


@pytest.mark.parametrize("gap", [1, 2, 3, 4, 8, 20])
def test_weights_between_two_cells_follow_equation_2(gap):
    classes = np.ones((5, 20 + gap), np.uint8)
    classes[:, 10 : 10 + gap] = 0
    weights = border_weights(classes)
    for i in range(gap):
        wanted = 10 * np.exp(-((gap + 1) ** 2) / 50)  # d1 + d2 is the same all the way across
        assert weights[2, 10 + i] == pytest.approx(wanted, rel=1e-5)
    assert not weights[:, :10].any()


def test_there_is_no_term_without_a_second_cell():
    classes = np.zeros((40, 40), np.uint8)
    classes[10:20, 10:20] = 1
    assert not border_weights(classes).any()


def test_the_term_holds_between_cells_of_different_classes_too():
    classes = np.array([[1, 1, 0, 2, 2]], np.uint8)
    assert border_weights(classes)[0, 2] == pytest.approx(10 * np.exp(-4 / 50))
