"""The bubble chart of networks: accuracy against operations, with the parameters as area.

After Canziani, Paszke, Culurciello 2016, "An analysis of deep neural network models for practical
applications", figure 2 (https://arxiv.org/abs/1605.07678). Needs matplotlib, the extra `plot`.
"""

import itertools
import math
import textwrap
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from convatlas.analysis.compare import Comparison
from convatlas.analysis.published import Published, common_test
from convatlas.errors import InputError
from convatlas.plots import COLOURS, GREY, INK, check_chart, write_chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Top = Literal[1, 5]
Box = tuple[float, float, float, float]  # left, low, right, high, in pixels
Disc = tuple[float, float, float]  # x, y, radius, in pixels

_WIDTH, _CHART, _HEAD, _LINE = 9.0, 4.8, 0.9, 0.13  # inches; a line of the notes
_LARGEST = 56.0  # points, the diameter of the largest bubble
_ROUND = [digit * 10**power for power in range(3, 10) for digit in (1, 2, 5)]  # for the legend
_GAPS = (3.0, 14.0, 28.0)  # points between a bubble and its name
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (-0.7, 0.7), (0.7, -0.7), (-0.7, -0.7))


@dataclass(frozen=True, slots=True)
class _Bubble:
    name: str
    giga_macs: float
    accuracy: float
    params: int
    test: str
    source: str


def draw_bubbles(comparison: Comparison, path: str | Path, top: Top = 1) -> dict[str, str]:
    """Draw published accuracy against multiply-adds; the area of a bubble is the parameters.

    Accuracies on different images say nothing about each other: only the networks that were
    tested on the images of most of them are drawn.

    Args:
        comparison: What `compare` gives.
        path: A .png or .svg file to write.
        top: Whether the first guess must be right, or one of the first five.

    Returns:
        The networks that are not drawn, and why.

    Raises:
        InputError: Another kind of file, nothing to draw, or matplotlib is missing.
        FileError: The file can't be written.
    """
    check_chart(path)
    bubbles, missing = _bubbles(comparison, top)
    if not bubbles:
        raise InputError(f"nothing to draw: no top-{top} error is printed for {', '.join(missing)}")
    write_chart(path, lambda: _figure(bubbles, top))
    return missing


def _bubbles(comparison: Comparison, top: Top) -> tuple[list[_Bubble], dict[str, str]]:
    """Give the bubbles, and why the other networks have none."""

    def error(result: Published) -> float | None:
        return result.top1_error if top == 1 else result.top5_error

    results = {
        entry.name: [result for result in entry.all_published if error(result) is not None]
        for entry in comparison.entries
    }
    chosen = common_test(results)
    datasets = Counter(result.dataset for result in chosen.values())
    (usual, _), *_ = datasets.most_common(1) or [("", 0)]
    bubbles, missing = [], {}
    for entry in comparison.entries:
        result, name, report = chosen.get(entry.name), entry.name, entry.report
        if result is None:
            missing[name] = f"no top-{top} error is printed"
        elif result.dataset != usual:
            missing[name] = f"tested on {result.test}"
        else:
            accuracy, cost = 100 - (error(result) or 0.0), report.macs / 1e9
            bubbles.append(_Bubble(name, cost, accuracy, report.params, result.test, result.source))
    return bubbles, missing


def _figure(bubbles: Sequence[_Bubble], top: Top) -> "Figure":
    from matplotlib.figure import Figure

    notes = _notes(bubbles)
    foot = 0.62 + _LINE * len(notes)
    height = foot + _CHART + _HEAD
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    axes = figure.add_axes((0.075, foot / height, 0.9, _CHART / height))
    scale = _LARGEST / math.sqrt(max(bubble.params for bubble in bubbles))
    tests = list(dict.fromkeys(bubble.test for bubble in bubbles))
    _draw_axes(axes, bubbles, top)
    for bubble in sorted(bubbles, key=lambda bubble: -bubble.params):  # small ones on top
        colour = COLOURS[tests.index(bubble.test) % len(COLOURS)]
        size = scale**2 * bubble.params
        axes.scatter(
            bubble.giga_macs,
            bubble.accuracy,
            s=size,
            color=colour,
            alpha=0.65,
            ec="white",
            lw=0.8,
            zorder=3,
        )
    _draw_legends(axes, bubbles, tests, scale)
    figure.text(0.075, 0.12 / height, "\n".join(notes), fontsize=6.5, color=GREY, va="bottom")
    _draw_names(axes, bubbles, scale)
    return figure


def _draw_axes(axes: "Axes", bubbles: Sequence[_Bubble], top: Top) -> None:
    """Draw logarithmic operations, accuracy, and room for the bubbles at the edges."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    costs = [bubble.giga_macs for bubble in bubbles]
    accuracies = [bubble.accuracy for bubble in bubbles]
    spread = max(accuracies) - min(accuracies)
    margin = max(1.0, 0.18 * spread)
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 2, max(costs) * 2.2)
    axes.set_ylim(min(accuracies) - margin, min(max(accuracies) + margin, 100.5))
    far = max(costs) > 1000 * min(costs)
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if far else (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", length=0, labelcolor=INK)
    axes.grid(color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#bbbbbb")
    axes.set_xlabel("multiply-adds for one image, in billions", color=INK)
    axes.set_ylabel(f"top-{top} accuracy as published, in %", color=INK)
    title = "Accuracy against operations; the area is the parameters"
    axes.figure.suptitle(title, x=0.075, y=0.985, ha="left", fontsize=12, color=INK)


def _draw_legends(
    axes: "Axes", bubbles: Sequence[_Bubble], tests: Sequence[str], scale: float
) -> None:
    """Say above the chart what colours and areas mean."""
    from matplotlib.lines import Line2D

    def mark(diameter: float, colour: str, label: str) -> Line2D:
        dot: dict[str, Any] = {"marker": "o", "markersize": diameter, "markeredgewidth": 0}
        return Line2D([], [], linewidth=0, markerfacecolor=colour, label=label, **dot)

    largest = max(bubble.params for bubble in bubbles)
    shown = [size for size in _ROUND if largest / 200 < size <= largest / 6][::-2][:3]
    sizes = [mark(scale * math.sqrt(size), "#bdbdbd", _millions(size)) for size in sorted(shown)]
    colours = [mark(8.0, COLOURS[i % len(COLOURS)], test) for i, test in enumerate(tests)]
    look = {"frameon": False, "labelcolor": INK, "fontsize": 8, "borderaxespad": 0.2}
    left = axes.legend(
        handles=colours, loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=3, **look
    )
    axes.add_artist(left)
    axes.legend(
        handles=sizes,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=3,
        handletextpad=0.9,
        **look,
    )


def _draw_names(axes: "Axes", bubbles: Sequence[_Bubble], scale: float) -> None:
    """Write each name beside its bubble, where it covers least of the others."""
    axes.figure.canvas.draw()  # the axes have a place from now on
    pixel = axes.figure.dpi / 72  # pixels of a point
    discs = []
    for bubble in bubbles:
        x, y = axes.transData.transform((bubble.giga_macs, bubble.accuracy))
        discs.append((x, y, scale * math.sqrt(bubble.params) / 2 * pixel))
    taken: list[Box] = []
    for bubble, disc in sorted(zip(bubbles, discs, strict=True), key=lambda pair: -pair[1][2]):
        others = [other for other in discs if other != disc]
        at = (bubble.giga_macs, bubble.accuracy)
        place: dict[str, Any] = {
            "textcoords": "offset points",
            "ha": "center",
            "va": "center",
            "zorder": 4,
        }
        name = axes.annotate(bubble.name, at, (0, 0), **place)
        size = name.get_window_extent()
        best = (math.inf, (0.0, 0.0), 0.0)
        for side, gap in itertools.product(_SIDES, _GAPS):
            middle = _middle(side, disc[2] + gap * pixel, size.width, size.height)
            box = _around(disc[0] + middle[0], disc[1] + middle[1], size.width, size.height)
            cost = _covered(box, taken, others, axes.bbox.extents) + 4 * gap
            if cost < best[0]:
                best = (cost, middle, gap)
        _, middle, gap = best
        name.set_position((middle[0] / pixel, middle[1] / pixel))
        taken.append(_around(disc[0] + middle[0], disc[1] + middle[1], size.width, size.height))
        if gap > _GAPS[0]:
            left, low, right, high = _around(*middle, size.width, size.height)
            nearest = (min(max(0.0, left), right) / pixel, min(max(0.0, low), high) / pixel)
            line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 1}
            line["shrinkB"] = disc[2] / pixel
            axes.annotate("", at, nearest, **place, arrowprops=line)


def _middle(
    side: tuple[float, float], distance: float, width: float, height: float
) -> tuple[float, float]:
    """Give the middle of a text on one side of a point, relative to it, in pixels."""
    dx, dy = side
    return (
        dx * distance + math.copysign(width / 2, dx) * (dx != 0),
        dy * distance + math.copysign(height / 2, dy) * (dy != 0),
    )


def _around(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _covered(box: Box, texts: Sequence[Box], discs: Sequence[Disc], chart: Box) -> float:
    """Measure how much of other things a text would cover, in pixels of their area."""
    outside = _overlap(box, box) - _overlap(box, chart)
    over_texts = sum(_overlap(box, text) for text in texts)
    over_discs = sum(_overlap(box, (x - r, y - r, x + r, y + r)) for x, y, r in discs)
    return 9 * outside + 6 * over_texts + 2 * over_discs


def _overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def _notes(bubbles: Sequence[_Bubble]) -> list[str]:
    """Cite who prints each accuracy, in lines that fit below the chart."""
    printed = defaultdict(list)
    for bubble in bubbles:
        printed[bubble.source].append(bubble.name)
    cited = "; ".join(f"{', '.join(names)}: {source}" for source, names in printed.items())
    return textwrap.wrap(f"Accuracies: {cited}.", width=165)


def _millions(params: int) -> str:
    return f"{params / 1e6:g} M params" if params >= 1e5 else f"{params / 1e3:g} k params"
