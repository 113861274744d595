"""Line charts as numbers and strings: the template turns them into SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 14, 34, 40  # room for the labels around the plot
_MOST_HITS = 300  # places to hover; more would only make the page heavy


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One series: a name, which is also its CSS class, and the pieces of its path."""

    name: str
    pieces: list[str]


@dataclass(frozen=True, slots=True)
class Hit:
    """A strip of the plot that shows the values of an epoch while the pointer is on it."""

    x: float
    left: float
    width: float
    dots: list[tuple[str, float]]
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of series over epochs, in the units of its view box."""

    title: str
    lines: list[Line]
    hits: list[Hit]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from values to places."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Give the place of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def line_chart(
    title: str,
    epochs: Sequence[int],
    series: Mapping[str, Sequence[float | None]],
    *,
    percent: bool = False,
) -> Chart:
    """Draw series over epochs.

    Args:
        title: What the values are.
        epochs: Numbers of the epochs, growing.
        series: Name -> a value for each epoch. A value that is None or not finite leaves a gap.
        percent: The values are fractions, shown in percent; the axis ends at 100 %.
    """
    known = [v for values in series.values() for v in _known(values)]
    low, high, step = _range(known, percent)
    x = Scale(min(epochs) - 0.5, max(epochs) + 0.5, _LEFT, WIDTH - _RIGHT)
    y = Scale(low, high, HEIGHT - _BOTTOM, _TOP)
    return Chart(
        title=title,
        lines=[Line(name, _pieces(epochs, values, x, y)) for name, values in series.items()],
        hits=_hits(epochs, series, x, y, percent),
        x_ticks=[Tick(x(epoch), str(epoch)) for epoch in _whole_ticks(min(epochs), max(epochs))],
        y_ticks=[Tick(y(v), _text(v, percent, step)) for v in _steps(low, high, step)],
    )


def nice_step(span: float, about: int) -> float:
    """Give the step of 1, 2 or 5 times a power of ten that cuts `span` into about that many."""
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))


def _range(known: list[float], percent: bool) -> tuple[float, float, float]:
    """Give the ends of the value axis and its step; the ends are whole steps."""
    highest = 1.0 if percent else max(known, default=1.0)
    lowest = min(known, default=0.0) if percent else min(0.0, *known, 0.0)
    if highest - lowest < 1e-9:  # one value, or all alike: an axis of length one
        lowest, highest = (0.0, 1.0) if percent else (lowest, lowest + 1.0)
    step = nice_step(highest - lowest, 4)
    low, high = math.floor(lowest / step + 1e-9) * step, math.ceil(highest / step - 1e-9) * step
    return low, high, step


def _steps(low: float, high: float, step: float) -> list[float]:
    return [low + i * step for i in range(round((high - low) / step) + 1)]


def _whole_ticks(first: int, last: int) -> list[int]:
    step = max(1, round(nice_step(max(1, last - first), 6)))
    return [epoch for epoch in range(first, last + 1) if epoch % step == 0] or [first]


def _pieces(epochs: Sequence[int], values: Sequence[float | None], x: Scale, y: Scale) -> list[str]:
    """Give the points of each unbroken stretch as SVG writes them."""
    pieces: list[list[str]] = [[]]
    for epoch, value in zip(epochs, values, strict=True):
        if value is None or not math.isfinite(value):
            pieces.append([])
        else:
            pieces[-1].append(f"{x(epoch):.1f},{y(value):.1f}")
    return [" ".join(piece) for piece in pieces if piece]


def _hits(
    epochs: Sequence[int],
    series: Mapping[str, Sequence[float | None]],
    x: Scale,
    y: Scale,
    percent: bool,
) -> list[Hit]:
    every = math.ceil(len(epochs) / _MOST_HITS)
    hits = []
    for start in range(0, len(epochs), every):
        end = min(start + every, len(epochs)) - 1
        left, right = x(epochs[start] - 0.5), x(epochs[end] + 0.5)
        i = (start + end) // 2
        values = {name: v for name, s in series.items() for v in _known([s[i]])}
        parts = [f"{name} {_value(value, percent)}" for name, value in values.items()]
        hits.append(
            Hit(
                x=round(x(epochs[i]), 1),
                left=round(left, 1),
                width=round(right - left, 1),
                dots=[(name, round(y(value), 1)) for name, value in values.items()],
                text=f"epoch {epochs[i]}: {', '.join(parts) or 'no values'}",
            )
        )
    return hits


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _value(value: float, percent: bool) -> str:
    return f"{100 * value:.1f} %" if percent else f"{value:.4g}"


def _text(value: float, percent: bool, step: float) -> str:
    """Write a value of an axis with as many digits as its step has."""
    shown, unit = (100 * step, " %") if percent else (step, "")
    digits = max(0, -math.floor(math.log10(shown) + 1e-9))
    return f"{100 * value if percent else value:.{digits}f}{unit}"
