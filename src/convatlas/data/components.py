"""Connected regions of a mask, and how far each pixel is from the two nearest of them."""

import numpy as np


def components(classes: np.ndarray, *, diagonal: bool = False) -> np.ndarray:
    """Number the connected regions of equal values, from 1 in reading order.

    Args:
        classes: (H, W); the value 0 is no part of a region.
        diagonal: Pixels that touch at a corner are connected (8 neighbours instead of 4).

    Returns:
        (H, W), int32; 0 where `classes` is 0.
    """
    if not classes.size:
        return np.zeros(classes.shape, np.int32)
    starts = np.ones(classes.shape, bool)
    starts[:, 1:] = classes[:, 1:] != classes[:, :-1]
    runs = starts.ravel().cumsum().reshape(classes.shape) - 1  # stretches of equal pixels of a row
    links = []
    for shift in (-1, 0, 1) if diagonal else (0,):
        above = slice(max(0, -shift), classes.shape[1] - max(0, shift))
        below = slice(max(0, shift), classes.shape[1] - max(0, -shift))
        equal = classes[:-1, above] == classes[1:, below]
        links.append(np.stack([runs[:-1, above][equal], runs[1:, below][equal]]))
    first = _joined(int(runs[-1, -1]) + 1, np.concatenate(links, axis=1))
    kept = classes.ravel()[starts.ravel()] != 0
    numbers = np.zeros(len(first), np.int32)
    firsts = np.flatnonzero(kept & (first == np.arange(len(first))))
    numbers[firsts] = np.arange(1, len(firsts) + 1)
    return np.where(kept, numbers[first], 0).astype(np.int32)[runs]


def _joined(count: int, links: np.ndarray) -> np.ndarray:
    """Give the least member of the set that each of `count` things is linked to."""
    least = np.arange(count)
    while True:
        ends = least[links]
        low, high = ends.min(axis=0), ends.max(axis=0)
        if (low == high).all():
            return least
        np.minimum.at(least, high, low)
        while (least[least] != least).any():
            least = least[least]


class _Nearest:
    """The two nearest regions of each pixel so far, and their squared distances."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.region, self.second_region = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        self.distance = np.full(shape, np.inf, np.float32)
        self.second_distance = np.full(shape, np.inf, np.float32)

    def offer(self, region: np.ndarray, distance: np.ndarray, where: tuple = ()) -> None:
        """Take a region for each pixel into account; only the pixels at `where`."""
        first, second = self.region[where], self.second_region[where]
        nearest, next_nearest = self.distance[where], self.second_distance[where]
        other, closer = region != first, distance < nearest
        pushed, slipped = closer & other, other & ~closer & (distance < next_nearest)
        np.copyto(second, first, where=pushed)
        np.copyto(next_nearest, nearest, where=pushed)
        np.copyto(second, region, where=slipped)
        np.copyto(next_nearest, distance, where=slipped)
        np.copyto(first, region, where=closer)
        np.copyto(nearest, distance, where=closer)


def two_nearest(regions: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Measure how far each pixel is from the nearest and from the second nearest region.

    Exact Euclidean distances between the centres of pixels; first along columns, then along rows:
    of a column only the two nearest regions can be among the two nearest of a pixel.

    Args:
        regions: Numbers of regions, 0 for none, (H, W), as `components` gives them.
        radius: How far to look, in pixels.

    Returns:
        Two arrays (H, W), float32; infinity where there is no such region within `radius`.
    """
    columns = _Nearest(regions.shape)
    for backwards in (False, True):
        _sweep(regions, columns, backwards)
    found = _Nearest(regions.shape)
    width = regions.shape[1]
    for shift in range(-min(radius, width - 1), min(radius, width - 1) + 1):
        here = (slice(None), slice(max(0, shift), width + min(0, shift)))
        there = (slice(None), slice(max(0, -shift), width + min(0, -shift)))
        away = np.float32(shift * shift)
        found.offer(columns.region[there], columns.distance[there] + away, here)
        found.offer(columns.second_region[there], columns.second_distance[there] + away, here)
    near, second = np.sqrt(found.distance), np.sqrt(found.second_distance)
    return np.where(near <= radius, near, np.inf), np.where(second <= radius, second, np.inf)


def _sweep(regions: np.ndarray, found: _Nearest, backwards: bool) -> None:
    """Find the two nearest regions of each column's pixels, looking one way."""
    height, width = regions.shape
    first, second = np.zeros(width, np.int32), np.zeros(width, np.int32)
    near, far = np.full(width, np.inf, np.float32), np.full(width, np.inf, np.float32)
    for row in range(height)[:: -1 if backwards else 1]:
        near, far = near + 1, far + 1
        new = (regions[row] != 0) & (regions[row] != first)
        second, far = np.where(new, first, second), np.where(new, near, far)
        first = np.where(new, regions[row], first)
        near = np.where(regions[row] != 0, np.float32(0), near)
        found.offer(first, near * near, (row,))
        found.offer(second, far * far, (row,))
