import pytest
from hypothesis import given
from hypothesis import strategies as st

from convatlas.errors import InputError
from convatlas.studies.checks import (
    at_least,
    at_most,
    exactly,
    less_error,
    near,
    no_worse,
    times_as_much,
)
from convatlas.studies.study import Results

SEEDS = (0, 1, 2)
errors = st.lists(st.integers(0, 1000), min_size=3, max_size=3).map(
    lambda thousandths: [value / 1000 for value in thousandths]
)


def results(**columns):
    return Results(
        SEEDS, {case: [{"test_error": v} for v in values] for case, values in columns.items()}
    )


def test_less_needs_the_margin_in_the_mean_and_the_sign_in_every_seed():
    found = results(good=[0.10, 0.10, 0.10], bad=[0.14, 0.13, 0.105])
    assert less_error(found, "good", "bad", by=2).holds
    assert not less_error(found, "good", "bad", by=3).holds
    turned = results(good=[0.10, 0.10, 0.10], bad=[0.20, 0.20, 0.099])
    check = less_error(turned, "good", "bad", by=2)
    assert check.mean > 0.02
    assert check.agreeing == 2
    assert not check.holds


@given(errors, errors)
def test_nothing_is_less_than_itself_and_never_both_ways(first, second):
    found = results(a=first, b=second)
    one, other = less_error(found, "a", "b"), less_error(found, "b", "a")
    assert not (one.holds and other.holds)
    assert not less_error(found, "a", "a").holds
    assert no_worse(found, "a", "a", slack=0).holds


@given(errors, errors, st.floats(0, 100))
def test_near_is_no_worse_both_ways(first, second, within):
    found = results(a=first, b=second)
    both = (
        no_worse(found, "a", "b", slack=within).agreeing == 3
        and no_worse(found, "b", "a", slack=within).agreeing == 3
    )
    assert near(found, "a", "b", within=within).holds == both


def test_slack_is_for_every_seed():
    found = results(a=[0.10, 0.10, 0.10], b=[0.08, 0.12, 0.12])
    assert no_worse(found, "a", "b", slack=2.5).holds
    assert not no_worse(found, "a", "b", slack=1).holds


def test_limits_and_counts():
    assert at_most("x", [0.1, 0.2], 0.2).holds
    assert not at_most("x", [0.1, 0.3], 0.25).holds
    assert at_least("x", [3.0, 4.0], 3).holds
    assert exactly("x", [650, 650], 650).holds
    assert not exactly("x", [650, 651], 650).holds


def test_names_the_nearest_case_and_metric():
    found = results(plain=[0, 0, 0])
    with pytest.raises(InputError, match="no case 'plane'; did you mean: plain"):
        found.values("plane", "test_error")
    with pytest.raises(InputError, match="plain has no 'test_eror'; did you mean: test_error"):
        found.values("plain", "test_eror")


def test_times_as_much_asks_for_the_factor_in_the_mean_and_for_more_in_every_seed():
    assert times_as_much("x", (10.0, 1000.0, 100.0), 100).mean == pytest.approx(2)
    assert times_as_much("x", (1.5, 3.0, 2.0), 2).holds
    assert not times_as_much("x", (1.5, 2.0, 2.0), 2).holds
    assert not times_as_much("x", (0.9, 5.0, 5.0), 2).holds
