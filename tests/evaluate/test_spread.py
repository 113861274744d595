"""Mean and spread of seeds equal the tables of Student's distribution."""

import math

import numpy as np
import pytest

from convatlas.errors import InputError
from convatlas.evaluate.spread import spread, t_quantile


@pytest.mark.parametrize(
    ("freedom", "t"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (9, 2.2622), (30, 2.0423)],
)
def test_the_quantiles_are_those_of_the_tables(freedom: int, t: float) -> None:
    assert t_quantile(freedom) == pytest.approx(t, abs=5e-5)


def test_many_degrees_of_freedom_are_normal() -> None:
    assert t_quantile(10_000) == pytest.approx(1.96, abs=1e-3)
    assert t_quantile(9, 0.99) == pytest.approx(3.2498, abs=5e-5)


@pytest.mark.parametrize("freedom", [1, 2, 5, 8])
def test_the_quantile_holds_95_percent_of_the_density(freedom: int) -> None:
    x = np.linspace(-t_quantile(freedom), t_quantile(freedom), 200_001)
    density = (1 + x * x / freedom) ** (-(freedom + 1) / 2)
    density *= math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2)
    density /= math.sqrt(math.pi * freedom)
    assert np.trapezoid(density, x) == pytest.approx(0.95, abs=1e-7)


def test_mean_deviation_and_interval() -> None:
    found = spread([0.91, 0.93, 0.95])
    assert found.count == 3
    assert found.mean == pytest.approx(0.93)
    assert found.deviation == pytest.approx(0.02)
    half = 4.302653 * 0.02 / math.sqrt(3)
    assert found.interval == pytest.approx((0.93 - half, 0.93 + half))


def test_one_run_has_no_spread() -> None:
    found = spread([0.5])
    assert (found.mean, found.deviation, found.interval) == (0.5, None, None)


@pytest.mark.parametrize("values", [[], [0.5, float("nan")]])
def test_no_values_have_no_mean(values: list[float]) -> None:
    with pytest.raises(InputError, match="mean and spread"):
        spread(values)


@pytest.mark.parametrize(("freedom", "confidence"), [(0, 0.95), (3, 1.0), (3, 0.0)])
def test_there_is_not_always_a_quantile(freedom: int, confidence: float) -> None:
    with pytest.raises(InputError, match="degrees of freedom"):
        t_quantile(freedom, confidence)
