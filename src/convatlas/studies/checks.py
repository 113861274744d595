"""What can be asked of results: more, less, no worse, equal."""

import math
from collections.abc import Sequence

from convatlas.studies.study import Check, Results

POINT = 0.01  # of a fraction
FRACTIONS = ("error", "gap", "accuracy", "iou")  # metrics that end so are fractions


def less_error(
    results: Results, better: str, worse: str, *, by: float = 0.0, metric: str = "test_error"
) -> Check:
    """Ask that one case has less of a metric than another, by `by` in the mean.

    Margins of fractions, such as errors, are in points; of others in their own unit.
    """
    differences = _differences(results.values(worse, metric), results.values(better, metric))
    fraction = metric.endswith(FRACTIONS)
    margin = f" by at least {by:g}{' points' if fraction else ''}" if by else ""
    says = f"{better} has less {_words(metric)} than {worse}{margin}"
    needed = by * (POINT if fraction else 1) if by else 1e-9  # nothing is no difference
    return Check(says, differences, needed, "points" if fraction else "")


def no_worse(
    results: Results, first: str, second: str, *, slack: float, metric: str = "test_error"
) -> Check:
    """Ask that one case has at most `slack` points more of a metric than another."""
    differences = _differences(results.values(second, metric), results.values(first, metric))
    says = f"{first} has at most {slack:g} points more {_words(metric)} than {second}"
    return Check(says, differences, -slack * POINT)


def near(
    results: Results, first: str, second: str, *, within: float, metric: str = "test_error"
) -> Check:
    """Ask that two cases differ by at most `within` points of a metric."""
    pairs = zip(results.values(first, metric), results.values(second, metric), strict=True)
    differences = tuple(-abs(a - b) for a, b in pairs)
    says = f"{first} and {second} differ by at most {within:g} points of {_words(metric)}"
    return Check(says, differences, -within * POINT)


def times_as_much(says: str, ratios: Sequence[float], factor: float) -> Check:
    """Ask that ratios are `factor` in the geometric mean, and more than 1 for every seed.

    The differences are powers of ten: 0.3 is twice as much, 3 a thousand times.
    """
    powers = tuple(math.log10(ratio) for ratio in ratios)
    return Check(f"{says} (in powers of ten)", powers, math.log10(factor), "")


def at_most(says: str, values: Sequence[float], limit: float) -> Check:
    """Ask that each value is at most `limit`."""
    return Check(says, tuple(limit - value for value in values), 0.0, "")


def at_least(says: str, values: Sequence[float], limit: float) -> Check:
    """Ask that each value is at least `limit`."""
    return Check(says, tuple(value - limit for value in values), 0.0, "")


def exactly(says: str, values: Sequence[float], expected: float) -> Check:
    """Ask that each value is the expected one: of what is counted, not measured."""
    return Check(says, tuple(-abs(value - expected) for value in values), 0.0, "")


def _differences(larger: Sequence[float], smaller: Sequence[float]) -> tuple[float, ...]:
    return tuple(a - b for a, b in zip(larger, smaller, strict=True))


def _words(metric: str) -> str:
    return {"macs": "MACs"}.get(metric, metric.replace("_", " "))
