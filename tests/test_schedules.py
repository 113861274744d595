"""Schedules: what each answers, and that a longer run keeps the shape."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convatlas.errors import InputError
from convatlas.schedules import (
    Constant,
    Cosine,
    Exponential,
    Levels,
    OnPlateau,
    Polynomial,
    Schedule,
    Steps,
    Warmup,
)

EPOCHS = st.floats(0, 500)
FACTORS = st.floats(0.01, 1)
LENGTHS = st.floats(0.5, 300)
RISING = st.lists(LENGTHS, min_size=1, max_size=5).map(sorted).map(tuple)


def same_length(until: tuple[float, ...]) -> st.SearchStrategy[Levels]:
    factors = st.lists(FACTORS, min_size=len(until), max_size=len(until)).map(tuple)
    return factors.map(lambda factors: Levels(until, factors))


SIMPLE = st.one_of(
    st.just(Constant()),
    st.builds(Steps, RISING, FACTORS),
    RISING.flatmap(same_length),
    st.builds(Cosine, LENGTHS, FACTORS),
    st.builds(Polynomial, LENGTHS, st.floats(0.1, 4), FACTORS),
    st.builds(Exponential, FACTORS, LENGTHS, st.floats(0, 10)),
    st.just(OnPlateau()),
)
SCHEDULES = st.one_of(SIMPLE, st.builds(Warmup, LENGTHS, SIMPLE, FACTORS))


@given(SCHEDULES, EPOCHS)
def test_every_schedule_gives_a_factor_between_0_and_1(schedule, epoch):
    assert isinstance(schedule, Schedule)
    assert 0 <= schedule(epoch) <= 1 + 1e-12


@given(SCHEDULES, EPOCHS, st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_a_stretched_schedule_does_the_same_later(schedule, epoch, factor):
    # powers of two, so that multiplying the epochs is exact and no step is missed by rounding
    assert schedule.stretched(factor)(epoch * factor) == pytest.approx(schedule(epoch))


@given(SCHEDULES)
def test_schedules_are_plain_data(schedule):
    assert schedule == schedule.stretched(1.0)
    assert hash(schedule) == hash(schedule.stretched(1.0))
    assert repr(schedule).startswith(type(schedule).__name__)


def test_steps_fall_at_their_epochs():
    schedule = Steps((30, 60, 90), factor=0.1)
    at = [0, 29.99, 30, 59, 60, 90, 1000]
    assert [schedule(epoch) for epoch in at] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 1e-3, 1e-3])


def test_steps_fall_in_the_middle_of_an_epoch_too():
    assert Steps((90.9,))(90.89) == 1
    assert Steps((90.9,))(90.9) == pytest.approx(0.1)


def test_steps_without_epochs_never_fall():
    assert Steps(())(1e9) == 1


def test_levels_are_the_lines_of_a_table():
    schedule = Levels(until=(2, 5, 8), factors=(1.0, 0.4, 0.02))
    at = [0, 1.9, 2, 4.9, 5, 7.9, 8, 100]
    assert [schedule(epoch) for epoch in at] == [1, 1, 0.4, 0.4, 0.02, 0.02, 0.02, 0.02]


def test_a_cosine_falls_slowly_at_both_ends():
    schedule = Cosine(epochs=10, final=0.2)
    assert schedule(0) == 1
    assert schedule(5) == pytest.approx(0.6)
    assert schedule(10) == pytest.approx(0.2)
    assert schedule(11) == pytest.approx(0.2)  # no way up again
    assert schedule(2.5) == pytest.approx(0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2)


def test_a_polynomial_is_a_straight_line_or_falls_late():
    line = Polynomial(epochs=68)
    at = [0, 17, 34, 68, 100]
    assert [line(epoch) for epoch in at] == pytest.approx([1, 0.75, 0.5, 0, 0])
    assert Polynomial(60, power=0.5)(45) == pytest.approx(0.5)
    assert Polynomial(10, final=0.2)(5) == pytest.approx(0.6)


@given(LENGTHS, st.floats(0.1, 4), EPOCHS, EPOCHS)
def test_a_polynomial_never_rises(length, power, first, second):
    early, late = sorted((first, second))
    assert Polynomial(length, power)(early) >= Polynomial(length, power)(late)


def test_an_exponential_falls_by_4_percent_every_8_epochs():
    schedule = Exponential(0.96, every=8)
    at = [0, 7.99, 8, 15.99, 16, 248]
    assert [schedule(epoch) for epoch in at] == pytest.approx([1, 1, 0.96, 0.96, 0.96**2, 0.96**31])


@given(st.integers(0, 300), st.integers(1, 300))
def test_an_exponential_misses_no_step_by_rounding(number, steps):
    """Where an epoch is a step divided by steps, as in the loop."""
    schedule = Exponential(0.99, every=1 / steps)
    assert schedule(number / steps) == pytest.approx(0.99**number)


def test_an_exponential_may_count_from_before_a_warm_up():
    """EfficientNet: x 0.97 every 2.4 epochs from the start of a run with 5 epochs of warm-up."""
    schedule = Warmup(5, Exponential(0.97, every=2.4, ahead=5))
    at = [2.5, 4.999, 5, 7.19, 7.21, 9.59, 9.61]
    expected = [0.5, 0.9998, 0.97**2, 0.97**2, 0.97**3, 0.97**3, 0.97**4]
    assert [schedule(epoch) for epoch in at] == pytest.approx(expected)


@given(LENGTHS, EPOCHS, EPOCHS)
def test_a_cosine_never_rises(length, first, second):
    early, late = sorted((first, second))
    assert Cosine(length)(early) >= Cosine(length)(late)


def test_a_warm_up_rises_in_a_straight_line_and_then_starts_the_clock():
    schedule = Warmup(epochs=4, then=Steps((10,)), start=0.2)
    at = [0, 1, 2, 4, 13.9, 14]
    assert [schedule(epoch) for epoch in at] == pytest.approx([0.2, 0.4, 0.6, 1, 1, 0.1])


@given(EPOCHS)
def test_a_warm_up_of_no_epochs_is_none(epoch):
    assert Warmup(0, Steps((3, 7)))(epoch) == Steps((3, 7))(epoch)


def test_a_plateau_cuts_the_rate_after_waiting():
    schedule = OnPlateau(patience=3, max_drops=2)
    errors = [0.9, 0.8, 0.8, 0.85, 0.81]  # three epochs without a lower one
    assert schedule.drops(errors[:4]) == 0
    assert schedule.drops(errors) == 1
    assert schedule.drops([*errors, 0.79, 0.8, 0.8]) == 1  # the count starts afresh
    assert schedule.drops([*errors, 0.8, 0.8, 0.8]) == 2


def test_a_plateau_cuts_no_more_often_than_it_may():
    assert OnPlateau(patience=1, max_drops=3).drops([0.5] * 100) == 3


def test_an_error_that_is_no_number_is_not_an_improvement():
    assert OnPlateau(patience=2).drops([0.5, math.nan, math.nan]) == 1


def test_the_factor_of_a_plateau_is_left_to_the_results():
    assert OnPlateau().drops([]) == 0
    assert OnPlateau()(40.0) == 1


@given(st.lists(st.floats(0, 1)), st.integers(1, 6), st.integers(0, 4))
def test_a_plateau_counts_as_by_hand(errors, patience, max_drops):
    """Against another formulation: a drop is due where the last low lies a wait back."""
    drops, since = 0, 0
    for i, error in enumerate(errors):
        since = 0 if all(error < earlier for earlier in errors[:i]) else since + 1
        if since >= patience and drops < max_drops:
            drops, since = drops + 1, 0
    assert OnPlateau(patience, max_drops=max_drops).drops(errors) == drops


@given(st.lists(st.floats(0, 1)), st.floats(0, 1))
def test_more_epochs_never_undo_a_drop(errors, error):
    schedule = OnPlateau(patience=2)
    assert schedule.drops([*errors, error]) >= schedule.drops(errors)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Levels((), ()), "equally long"),
        (lambda: Levels((1, 2), (1.0,)), "equally long"),
        (lambda: Levels((2, 1), (1.0, 0.1)), "until must rise, not \\(2, 1\\)"),
        (lambda: Cosine(0), "more than 0 epochs, not 0"),
        (lambda: Cosine(math.nan), "not nan"),
        (lambda: Warmup(-1, Constant()), "at least 0 epochs, not -1"),
        (lambda: OnPlateau(patience=0), "at least 1 epoch, not 0"),
        (lambda: OnPlateau(watch="test"), "not 'test'"),
        (lambda: Exponential(0.9, 0), "every must be more than 0 epochs, not 0"),
        (lambda: Polynomial(0), "more than 0 epochs, not 0"),
        (lambda: Polynomial(5, power=0), "power must be more than 0, not 0"),
    ],
)
def test_schedules_that_mean_nothing_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
