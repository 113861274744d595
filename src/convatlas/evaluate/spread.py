"""Several runs that differ in their seed: their mean, and how sure it is."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from convatlas.errors import InputError


@dataclass(frozen=True, slots=True)
class Spread:
    """What several runs gave for one quantity.

    Attributes:
        count: Runs.
        mean: Of what they gave.
        deviation: Standard deviation of one run, with count - 1; None of a single run.
        interval: In which the mean of infinitely many runs lies, with 95 % confidence; None of a
            single run.
    """

    count: int
    mean: float
    deviation: float | None
    interval: tuple[float, float] | None


def spread(values: Sequence[float]) -> Spread:
    """Give mean, standard deviation and the 95 % interval of Student's t.

    Student 1908, "The probable error of a mean". The interval takes the runs for independent
    draws from a normal distribution; of three runs it is 2.5 deviations wide on either side.

    Raises:
        InputError: No value, or one that is not finite.
    """
    if not values or not all(map(math.isfinite, values)):
        raise InputError(f"can't tell the mean and spread of {list(values)}")
    count, mean = len(values), statistics.fmean(values)
    if count == 1:
        return Spread(1, mean, None, None)
    deviation = statistics.stdev(values)
    half = t_quantile(count - 1) * deviation / math.sqrt(count)
    return Spread(count, mean, deviation, (mean - half, mean + half))


def t_quantile(freedom: int, confidence: float = 0.95) -> float:
    """Give the t beyond which, on both sides, Student's distribution has 1 - `confidence`.

    Args:
        freedom: Degrees of freedom, at least 1.
        confidence: Between 0 and 1.
    """
    if freedom < 1 or not 0 < confidence < 1:
        raise InputError(f"no t for {freedom} degrees of freedom and a confidence of {confidence}")
    low, high = 0.0, math.pi / 2  # the angle atan(t / sqrt(freedom))
    while high - low > 1e-15:
        middle = (low + high) / 2
        if _within(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return math.tan(high) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """Give the probability of [-t, t]: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4."""
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for i in range(2 + odd, freedom - 1, 2):
        term *= (i - 1) / i * math.cos(angle) ** 2
        total += term
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
