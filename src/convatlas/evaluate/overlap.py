"""How well regions overlap: intersection over union, Dice, and the errors of the EM challenge."""

from collections.abc import Sequence

import numpy as np

from convatlas.data.components import components


def intersection_over_union(confusion: np.ndarray) -> list[float | None]:
    """Give |A and B| / |A or B| of each class; None for a class that is nowhere.

    Jaccard 1912; the measure of PASCAL VOC (Everingham et al. 2010) and of U-Net's Table 2.

    Args:
        confusion: Counts of pixels: a row for each true class, a column for each predicted one.
    """
    both, either = np.diagonal(confusion), _either(confusion)
    return _ratios(both, either)


def dice(confusion: np.ndarray) -> list[float | None]:
    """Give 2 |A and B| / (|A| + |B|) of each class; None for a class that is nowhere.

    Dice 1945; the F-score of a class.
    """
    both = np.diagonal(confusion)
    return _ratios(2 * both, confusion.sum(axis=0) + confusion.sum(axis=1))


def pixel_error(confusion: np.ndarray) -> float:
    """Give the fraction of pixels whose class is wrong."""
    return 1 - float(np.trace(confusion)) / float(confusion.sum())


def mean_of_known(values: Sequence[float | None]) -> float:
    """Average over the classes that are somewhere."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def rand_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Compare two divisions of an image into cells: 1 - the F-score of pairs of pixels.

    Foreground-restricted Rand error of the EM challenge (Arganda-Carreras et al. 2015, Frontiers
    in Neuroanatomy 9:142): of all pairs of pixels, each with itself too, that truth and prediction
    put into one cell. Pixels that are background in the truth don't count; pixels that are
    background in the prediction alone are cells of their own. Cells are connected by the 4
    neighbours, so that a membrane of one pixel divides them.

    Args:
        truth: (H, W); 0 is background (membrane).
        predicted: Likewise.

    Returns:
        0 for the same cells, towards 1 for cells that have nothing in common; 0 where the truth
        has no cells.
    """
    cells, others = components(truth != 0), components(predicted != 0)
    inside = cells != 0
    if not inside.any():
        return 0.0
    alone = int((others[inside] == 0).sum())
    pairs = cells[inside].astype(np.int64) * (int(others.max()) + 1) + others[inside]
    counts = np.unique(pairs[others[inside] != 0], return_counts=True)[1]
    together = float(np.square(counts.astype(np.float64)).sum()) + alone
    in_truth = _squares(cells[inside])
    in_prediction = _squares(others[inside][others[inside] != 0]) + alone
    return 1 - 2 * together / (in_truth + in_prediction)


def _squares(cells: np.ndarray) -> float:
    return float(np.square(np.bincount(cells).astype(np.float64)).sum())


def _either(confusion: np.ndarray) -> np.ndarray:
    return confusion.sum(axis=0) + confusion.sum(axis=1) - np.diagonal(confusion)


def _ratios(parts: np.ndarray, wholes: np.ndarray) -> list[float | None]:
    return [
        float(part) / float(whole) if whole else None
        for part, whole in zip(parts, wholes, strict=True)
    ]
