"""Charts put values where they belong."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convatlas.report.chart import line_chart, nice_step

values = st.one_of(st.none(), st.floats(0, 1e6), st.just(math.nan), st.just(math.inf))


@given(st.floats(1e-9, 1e9), st.integers(1, 12))
def test_nice_steps_are_1_2_5_and_about_as_many_as_asked(span: float, about: int) -> None:
    step = nice_step(span, about)
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert any(mantissa == pytest.approx(m) for m in (1, 2, 5, 10))
    assert about / 2.6 <= span / step <= about * (1 + 1e-6)


@given(st.lists(st.tuples(values, values), min_size=1, max_size=40))
def test_every_known_value_is_drawn_inside_the_plot(pairs: list) -> None:
    epochs = list(range(1, len(pairs) + 1))
    series = {"train": [a for a, _ in pairs], "validation": [b for _, b in pairs]}
    chart = line_chart("Loss", epochs, series)
    for line in chart.lines:
        points = [point for piece in line.pieces for point in piece.split()]
        known = [v for v in series[line.name] if v is not None and math.isfinite(v)]
        assert len(points) == len(known)
        for x, y in (map(float, point.split(",")) for point in points):
            assert chart.left <= x <= chart.right
            assert chart.top - 0.1 <= y <= chart.bottom + 0.1
    ticks = [tick.at for tick in chart.y_ticks]
    assert ticks == sorted(ticks, reverse=True)
    assert len({tick.text for tick in chart.y_ticks}) == len(ticks) >= 2
    assert len(chart.hits) == len(pairs)


def test_a_value_stands_at_its_place() -> None:
    chart = line_chart("Accuracy", [1, 2], {"validation": [0.0, 0.75]}, percent=True)
    texts = {tick.text: tick.at for tick in chart.y_ticks}
    assert texts["0 %"] == chart.bottom
    assert texts["100 %"] == chart.top
    first, second = (tuple(map(float, p.split(","))) for p in chart.lines[0].pieces[0].split())
    assert first[1] == chart.bottom
    assert second[1] == pytest.approx(chart.bottom - 0.75 * (chart.bottom - chart.top), abs=0.1)
    assert chart.hits[1].text == "epoch 2: validation 75.0 %"


def test_unknown_values_leave_a_gap() -> None:
    chart = line_chart("Loss", [1, 2, 3, 4], {"validation": [1.0, 2.0, None, 4.0]})
    assert [len(piece.split()) for piece in chart.lines[0].pieces] == [2, 1]
    assert chart.hits[2].text == "epoch 3: no values"


@pytest.mark.parametrize("epochs", [1, 2, 7, 300, 301, 2500])
def test_long_runs_stay_light_and_strips_dont_overlap(epochs: int) -> None:
    chart = line_chart("Loss", range(1, epochs + 1), {"train": [1.0] * epochs})
    assert len(chart.hits) <= 300
    assert 1 <= len(chart.x_ticks) <= 8
    for one, two in itertools.pairwise(chart.hits):
        assert one.left + one.width <= two.left + 0.11
    assert chart.hits[0].left >= chart.left
    assert chart.hits[-1].left + chart.hits[-1].width <= chart.right + 0.2
    for hit in chart.hits:
        assert hit.left - 0.1 <= hit.x <= hit.left + hit.width + 0.1
