"""Charts that several studies share."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from convatlas.plots import COLOURS, GREY, INK
from convatlas.studies.study import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PERCENT = 100.0
MANY = 4  # curves; the names of more stand beside the chart, where they hide nothing


def figure(title: str, width: float = 6.4, height: float = 3.6) -> "tuple[Figure, Axes]":
    """Give an empty chart with the look of all of them."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(width, height), layout="constrained")
    axes = fig.subplots()
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.tick_params(colors=GREY)
    return fig, axes


def dots(
    title: str,
    metric: str = "test_error",
    label: str = "test error, %",
    *,
    scale: float = PERCENT,
    cases: Sequence[str] = (),
) -> "Callable[[Results], Figure]":
    """Draw a line for each case: a small dot for each seed, a large one for their mean.

    Args:
        title: What it shows.
        metric: Which metric.
        label: Of its axis, with the unit.
        scale: Factor from the metric to that unit.
        cases: Those that are drawn, from top to bottom; none: all.
    """

    def draw(results: Results) -> "Figure":
        rows = {name: results.values(name, metric) for name in cases or results.cases}
        return _dotted(title, rows, label, scale)

    return draw


def metric_dots(
    title: str,
    case: str,
    metrics: Mapping[str, str],
    label: str = "test error, %",
    *,
    scale: float = PERCENT,
) -> "Callable[[Results], Figure]":
    """Draw a line for each of several metrics of one case, as `dots` does for cases.

    Args:
        title: What it shows.
        case: Whose metrics.
        metrics: Words -> metric, from top to bottom; all in one unit.
        label: Of the axis, with the unit.
        scale: Factor from the metrics to that unit.
    """

    def draw(results: Results) -> "Figure":
        rows = {words: results.values(case, metric) for words, metric in metrics.items()}
        return _dotted(title, rows, label, scale)

    return draw


def _dotted(title: str, rows: Mapping[str, Sequence[float]], label: str, scale: float) -> "Figure":
    fig, axes = figure(title, height=1.1 + 0.34 * len(rows))
    for row, found in enumerate(rows.values()):
        values = [scale * value for value in found]
        axes.plot(values, [row] * len(values), "o", color=COLOURS[0], alpha=0.45, markersize=5)
        axes.plot([min(values), max(values)], [row, row], color=COLOURS[0], linewidth=1.2)
        mean = statistics.fmean(values)
        axes.plot([mean], [row], "D", color=COLOURS[4], markersize=6)
        axes.annotate(
            f"{mean:.3g}", (mean, row), (0, 7), textcoords="offset points", ha="center",
            fontsize=8, color=INK,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), list(rows), color=INK)
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.set_xlabel(label)
    return fig


def curves(
    title: str,
    metric: str = "train_error_curve",
    label: str = "training error, %",
    *,
    scale: float = PERCENT,
    cases: Sequence[str] = (),
    log: bool = False,
    x_label: str = "epoch",
) -> "Callable[[Results], Figure]":
    """Draw a metric over the epochs, or other places: the mean of each case, its seeds' range."""

    def draw(results: Results) -> "Figure":
        from matplotlib.ticker import MaxNLocator

        many = len(cases or results.cases) > MANY
        fig, axes = figure(title, width=7.6 if many else 6.4)
        for i, name in enumerate(cases or results.cases):
            rows = [[_scaled(v, scale) for v in row] for row in results.values(name, metric)]  # ty: ignore[not-iterable]
            epochs = range(1, len(rows[0]) + 1)
            columns = [[v for v in column if v is not None] for column in zip(*rows, strict=True)]
            known = [epoch for epoch, column in zip(epochs, columns, strict=True) if column]
            full = [column for column in columns if column]
            colour, style = COLOURS[i % len(COLOURS)], ("-", "--", ":")[i // len(COLOURS) % 3]
            axes.fill_between(known, [*map(min, full)], [*map(max, full)], color=colour, alpha=0.15)
            means = [statistics.fmean(column) for column in full]
            axes.plot(known, means, style, color=colour, label=name, linewidth=1.6)
        axes.set_xlabel(x_label)
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if log:
            axes.set_yscale("log")
        if many:
            fig.legend(loc="outside right center", frameon=False, fontsize=8)
        else:
            axes.legend(frameon=False, fontsize=8)
        return fig

    return draw


def against(
    title: str,
    x: str,
    x_label: str,
    *,
    groups: Mapping[str, Sequence[str]],
    metric: str = "test_error",
    label: str = "test error, %",
    scale: float = PERCENT,
    log: bool = True,
) -> "Callable[[Results], Figure]":
    """Draw a metric over a cost: a line for each group of cases, a range for each case.

    Args:
        title: What it shows.
        x: The cost, such as "params" or "macs".
        x_label: Of its axis, with the unit.
        groups: Legend -> cases, which are joined in this order.
        metric: What is drawn over it.
        label: Of its axis.
        scale: Factor from the metric to the unit of the axis.
        log: The cost has a logarithmic axis.
    """

    def draw(results: Results) -> "Figure":
        fig, axes = figure(title)
        for i, (legend, names) in enumerate(groups.items()):
            costs = [results.mean(name, x) for name in names]
            rows = [[scale * v for v in results.values(name, metric)] for name in names]
            means = [statistics.fmean(row) for row in rows]
            reach = [
                [mean - min(row) for mean, row in zip(means, rows, strict=True)],
                [max(row) - mean for mean, row in zip(means, rows, strict=True)],
            ]
            style = "o-" if len(names) > 1 else "o"
            colour = COLOURS[i % len(COLOURS)]
            axes.errorbar(costs, means, reach, fmt=style, color=colour, label=legend, capsize=3)
            for name, cost, mean in zip(names, costs, means, strict=True):
                axes.annotate(
                    name, (cost, mean), (4, 4), textcoords="offset points", fontsize=7, color=GREY
                )
        if log:
            _log_ticks(axes)
        axes.margins(x=0.15)  # room for the names
        axes.set_xlabel(x_label)
        axes.set_ylabel(label)
        if len(groups) > 1:
            axes.legend(frameon=False, fontsize=8)
        return fig

    return draw


def _log_ticks(axes: "Axes") -> None:
    """Let costs grow by factors: 1, 2 and 5 of each power of ten, written as 200 k and 5 M."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_locator(NullLocator())


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else scale * value
