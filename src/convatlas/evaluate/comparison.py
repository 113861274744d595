"""Two networks on the same images: who is right where the other is wrong."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from convatlas.errors import InputError
from convatlas.evaluate.result import Prediction


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two networks said of the same images.

    Attributes:
        both: Images that both recognise.
        only_first: Images that the first recognises and the second does not.
        only_second: The other way round.
        neither: Images that neither recognises;
        same_mistake: of these, how many they take for the same wrong class.
        p_value: Of McNemar's exact test: how probable a difference of this size or more is,
            were both networks equally good.
        correlation: Of their mistakes, from -1 to 1; 0 where mistakes of one say nothing of the
            other's; None where a network makes none, or nothing but mistakes.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    same_mistake: int
    p_value: float
    correlation: float | None

    @property
    def agreement(self) -> float:
        """The fraction of the images for which both give the same answer."""
        count = self.both + self.only_first + self.only_second + self.neither
        return (self.both + self.same_mistake) / count


def compare(first: Sequence[Prediction], second: Sequence[Prediction]) -> Comparison:
    """Compare two networks image by image.

    An image that both recognise tells nothing of their difference, so the test looks at the
    others alone, which is why it sees smaller differences than two intervals side by side:
    McNemar 1947, "Note on the sampling error of the difference between correlated proportions".

    Args:
        first: Predictions of one network, in the order of the split.
        second: Of the other, for the same images.

    Raises:
        InputError: No images, or not the same ones.
    """
    if not first or [p.index for p in first] != [p.index for p in second]:
        raise InputError("can't compare predictions for different images, or for none")
    cells = {(a, b): 0 for a in (True, False) for b in (True, False)}
    same = 0
    for one, two in zip(first, second, strict=True):
        cells[one.predicted == one.label, two.predicted == two.label] += 1
        same += one.predicted == two.predicted != one.label
    both, only_first = cells[True, True], cells[True, False]
    only_second, neither = cells[False, True], cells[False, False]
    return Comparison(
        both,
        only_first,
        only_second,
        neither,
        same,
        mcnemar(only_first, only_second),
        _phi(both, only_first, only_second, neither),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Give the two-sided p-value of McNemar's exact test: a binomial with p = 1/2.

    Args:
        only_first: Images that the first network alone recognises.
        only_second: Images that the second alone recognises.
    """
    count, fewer = only_first + only_second, min(only_first, only_second)
    term = tail = 1  # integers: the exact sum of binomial coefficients
    for i in range(fewer):
        term = term * (count - i) // (i + 1)
        tail += term
    return min(1.0, 2 * tail / 2**count)


def _phi(both: int, only_first: int, only_second: int, neither: int) -> float | None:
    """Give the correlation of two columns of zeros and ones."""
    sums = (both + only_first, only_second + neither, both + only_second, only_first + neither)
    if not all(sums):
        return None
    return (both * neither - only_first * only_second) / math.sqrt(math.prod(sums))
