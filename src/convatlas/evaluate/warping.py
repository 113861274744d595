"""The warping error: wrong pixels that no shift of a border explains.

Jain et al. 2010, "Boundary learning by optimization with topological constraints" (CVPR).
"""

from collections.abc import Sequence
from functools import cache

import numpy as np

from convatlas.data.components import components

# neighbours in the order of the bits of a pattern, row and column
_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
_BITS = tuple(enumerate(_AROUND))


def warping_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Give the fraction of pixels that stay wrong when the truth is warped to the prediction.

    Pixels of the truth are flipped to what is predicted as long as that changes neither the number
    of cells nor that of holes, so that a membrane that is found a pixel aside, or thicker, costs
    nothing, and one with a gap costs the gap. Cells are connected by the 4 neighbours, background
    by 8; beyond its borders the image is background.

    Args:
        truth: (H, W); 0 is background (membrane).
        predicted: Likewise.
    """
    warped = warp(truth, predicted)
    return float((warped != (predicted != 0)).sum()) / truth.size


def split_merge_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Give the fraction of pixels that split or merge cells after warping.

    The warping error as the EM challenge prints it, but for the threshold: there, it is the least
    over several. Of the pixels that `warp` leaves wrong, those count that alone would part a cell
    of the truth, or join two.

    Args:
        truth: (H, W); 0 is background (membrane).
        predicted: Likewise.
    """
    warped = np.pad(warp(truth, predicted), 1).astype(np.uint8)
    cells, grounds = components(warped), components(1 - warped, diagonal=True)
    wrong = np.argwhere(warped != np.pad(predicted != 0, 1))
    count = 0
    for row, column in wrong.tolist():
        around = warped[row - 1 : row + 2, column - 1 : column + 2]
        beside, background = _parts(sum(int(around[1 + y, 1 + x]) << b for b, (y, x) in _BITS))
        if warped[row, column]:
            # removing a bridge parts the cell if the background on its sides is one
            sides = {int(grounds[row + y, column + x]) for y, x in background}
            count += len(sides) < len(background)
        else:
            count += len({int(cells[row + y, column + x]) for y, x in beside}) > 1
    return count / truth.size


def warp(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Bring the cells of `truth` as near to `predicted` as their topology lets them.

    Pixels are tried in reading order, again and again until none can be flipped; another order
    may come nearer by a pixel or two.

    Returns:
        (H, W), bool.
    """
    here = np.pad(truth != 0, 1).astype(np.uint8)
    there = np.pad(predicted != 0, 1).astype(np.uint8)
    simple, width = _simple_patterns(), here.shape[1]
    steps = [row * width + column for row, column in _AROUND]
    flat, wanted = here.ravel().tolist(), there.ravel()  # a list: one pixel at a time
    waiting = np.flatnonzero(here.ravel() != wanted).tolist()
    changed = True
    while changed:
        changed, left = False, []
        for place in waiting:
            pattern = 0
            for bit, step in enumerate(steps):
                pattern |= flat[place + step] << bit
            if simple[pattern]:
                flat[place] ^= 1
                changed = True
            else:
                left.append(place)
        waiting = left
    return np.array(flat, bool).reshape(here.shape)[1:-1, 1:-1]


@cache
def _simple_patterns() -> list[bool]:
    """Say of each of the 256 neighbourhoods whether flipping its middle keeps the topology.

    It does where there is one cell among the neighbours that share a side with the middle, and
    one background among all 8 (Bertrand and Malandain 1994).
    """
    return [all(len(part) == 1 for part in _parts(pattern)) for pattern in range(256)]


@cache
def _parts(pattern: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Give one neighbour of each cell beside the middle, and one of each background around it."""
    around = np.zeros((3, 3), np.uint8)
    for bit, (row, column) in _BITS:
        around[1 + row, 1 + column] = pattern >> bit & 1
    cells = components(around)
    background = 1 - around
    background[1, 1] = 0
    grounds = components(background, diagonal=True)
    sides = [place for place in _AROUND if 0 in place]
    return _one_each(cells, sides), _one_each(grounds, _AROUND)


def _one_each(regions: np.ndarray, places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    found = {int(regions[1 + row, 1 + column]): (row, column) for row, column in places}
    return [place for region, place in found.items() if region]
