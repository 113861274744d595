"""In which order an epoch shows the images of a split.

An order is an array (2, N): which image comes, and how often it has come before in this epoch.
"""

from collections.abc import Sequence

import numpy as np

from convatlas.errors import InputError

_SHUFFLED, _BALANCED = 0, 4  # first words of the seeds of orders; no other seeds begin so


def in_order(count: int) -> np.ndarray:
    """Give every image once, in the order of the split."""
    return _once(np.arange(count))


def shuffled(count: int, seed: int, epoch: int) -> np.ndarray:
    """Give every image once, in an order that depends on seed and epoch alone."""
    return _once(np.random.default_rng([_SHUFFLED, seed, epoch]).permutation(count))


def balanced(labels: Sequence[int] | np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Draw the classes equally often, and of each class its images with replacement.

    As many images are drawn as there are: a class with few comes again and again, of one with
    many some are left out, others in each epoch. Classes without images are passed over.

    Args:
        labels: The class of each image.
        seed: Of the draw, together with `epoch`.
        epoch: Another one gives another draw.

    Raises:
        InputError: There are no images.
    """
    labels = np.asarray(labels)
    if not len(labels):
        raise InputError("there are no images to draw from")
    rng = np.random.default_rng([_BALANCED, seed, epoch])
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    # whole rounds of all classes; which of them the last, incomplete round holds is chance too
    drawn = rng.permutation(np.resize(rng.permutation(len(counts)), len(labels)))
    by_class = np.argsort(classes, kind="stable")
    first = np.cumsum(counts) - counts
    indices = by_class[first[drawn] + rng.integers(counts[drawn])]
    return np.stack([indices, _repeats(indices)])


def _once(indices: np.ndarray) -> np.ndarray:
    return np.stack([indices, np.zeros_like(indices)])


def _repeats(indices: np.ndarray) -> np.ndarray:
    """Count, for each entry, the equal ones before it."""
    by_value = np.argsort(indices, kind="stable")
    _, first, counts = np.unique(indices[by_value], return_index=True, return_counts=True)
    repeats = np.empty_like(indices)
    repeats[by_value] = np.arange(len(indices)) - np.repeat(first, counts)
    return repeats
