"""Curves of several runs in one picture: validation and loss over the epochs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convatlas.errors import InputError
from convatlas.plots import COLOURS, GREY, INK, write_chart
from convatlas.report.runs import WATCHED, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_RUNS = 20  # more curves than these nobody tells apart
_DASHES = ("-", "--", ":")  # by which equal colours, and prints in grey, are told apart


def draw_curves(runs: Sequence[Run], names: Sequence[str], path: str | Path) -> None:
    """Draw what was watched on the left, the losses on the right.

    Args:
        runs: At most `MOST_RUNS`, at least one of which has done an epoch.
        names: What the legend calls them.
        path: A .png or .svg file.

    Raises:
        InputError: No run has done an epoch, there are too many, or as `write_chart`.
        FileError: The file can't be written.
    """
    drawn = [(run, name) for run, name in zip(runs, names, strict=True) if run.epochs]
    if not drawn:
        raise InputError("nothing to draw: no run has done an epoch yet")
    if len(drawn) > MOST_RUNS:
        raise InputError(f"a chart of {len(drawn)} runs can't be read: name at most {MOST_RUNS}")
    write_chart(path, lambda: _figure(drawn))


def _figure(drawn: Sequence[tuple[Run, str]]) -> "Figure":
    from matplotlib.figure import Figure

    rows = -(-len(drawn) // 2)
    legend = 0.35 + 0.2 * rows
    figure = Figure(figsize=(9, 3.6 + legend), layout="constrained", facecolor="white")
    metric = next((n for n in WATCHED if any(run.curve(n) for run, _ in drawn)), WATCHED[0])
    left, right = figure.subplots(1, 2)
    for number, (run, name) in enumerate(drawn):
        colour = COLOURS[number % len(COLOURS)]
        dash = _DASHES[number // len(COLOURS) % len(_DASHES)]
        _curve(left, [(e, 100 * v) for e, v in run.curve(metric)], colour, dash, name)
        _curve(right, run.curve("val_loss"), colour, dash)
        _curve(right, run.curve("train_loss"), colour, dash, width=0.8, strength=0.55)
    left.set_title(
        f"{metric.removeprefix('val_').replace('_', ' ')} on validation, in %", color=INK
    )
    right.set_title("loss: validation strong, training thin", color=INK)
    for axes in (left, right):
        _dress(axes)
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower left", ncols=2, frameon=False
    )
    return figure


def _curve(
    axes: "Axes",
    points: Sequence[tuple[int, float]],
    colour: str,
    dash: str,
    name: str | None = None,
    width: float = 1.8,
    strength: float = 1.0,
) -> None:
    epochs, values = zip(*points, strict=True) if points else ((), ())
    mark = "o" if len(points) == 1 else ""
    axes.plot(epochs, values, dash, color=colour, lw=width, alpha=strength, marker=mark, label=name)


def _dress(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="#dddddd", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(length=0, labelcolor=INK)
