"""Which layer of one network stands for which of another: an alignment of two sequences.

Needleman & Wunsch 1970 ("A general method applicable to the search for similarities in the amino
acid sequence of two proteins") with gaps that cost nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convatlas.analysis.record import LayerRecord

# what two layers of the same role may share, and how much that speaks for the pair
_LIKENESS: tuple[tuple[Callable[[LayerRecord], Any], int], ...] = (
    (lambda layer: layer.name, 4),
    (lambda layer: layer.name.rpartition(".")[2], 2),
    (lambda layer: layer.output_shape, 2),
    (lambda layer: (layer.kernel, layer.stride, layer.groups), 2),
    (lambda layer: layer.kind, 1),
    (lambda layer: layer.weight_shape, 1),
)
Pairs = list[tuple[LayerRecord | None, LayerRecord | None]]


def align(a: Sequence[LayerRecord], b: Sequence[LayerRecord]) -> Pairs:
    """Pair the layers of two networks in order, so that the pairs are as alike as they can be.

    Only layers of one role (a convolution and a convolution) are paired; a layer without a
    partner is paired with None.
    """
    likeness = _Likeness(a, b)
    best = [np.zeros(len(b) + 1, dtype=np.int32)]
    for i in range(len(a)):
        above = best[-1]
        row = above.copy()
        row[1:] = np.maximum(above[1:], above[:-1] + likeness.of(i))
        best.append(np.maximum.accumulate(row))  # a gap in `a` costs nothing
    return _walk_back(a, b, best, likeness)


def _walk_back(
    a: Sequence[LayerRecord],
    b: Sequence[LayerRecord],
    best: Sequence[np.ndarray],
    likeness: "_Likeness",
) -> Pairs:
    pairs: Pairs = []
    i, j = len(a), len(b)
    while i and j:
        alike = likeness.of(i - 1)[j - 1]
        if alike and best[i][j] == best[i - 1][j - 1] + alike:
            i, j = i - 1, j - 1
            pairs.append((a[i], b[j]))
        elif best[i][j] == best[i][j - 1]:
            j -= 1
            pairs.append((None, b[j]))
        else:
            i -= 1
            pairs.append((a[i], None))
    pairs += [(None, layer) for layer in reversed(b[:j])]
    pairs += [(layer, None) for layer in reversed(a[:i])]
    return pairs[::-1]


class _Likeness:
    """How alike each layer of `a` is to all layers of `b`; 0: they can't be a pair."""

    def __init__(self, a: Sequence[LayerRecord], b: Sequence[LayerRecord]) -> None:
        self._roles = _codes(a, b, lambda layer: layer.role)
        self._shared = [(_codes(a, b, feature), weight) for feature, weight in _LIKENESS]

    def of(self, i: int) -> np.ndarray:
        """Give the likeness of layer i of `a` to each layer of `b`."""
        ours, theirs = self._roles
        alike = np.ones(len(theirs), dtype=np.int32)
        for (mine, others), weight in self._shared:
            alike += weight * (others == mine[i])
        return np.where(theirs == ours[i], alike, 0)


def _codes(
    a: Sequence[LayerRecord], b: Sequence[LayerRecord], feature: Callable[[LayerRecord], Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Number the values of a feature, so that whole rows can be compared at once."""
    numbers: dict[Any, int] = {}
    codes = [
        [numbers.setdefault(feature(layer), len(numbers)) for layer in side] for side in (a, b)
    ]
    return np.array(codes[0], dtype=np.int32), np.array(codes[1], dtype=np.int32)
