"""The figure of a network: its stages as boxes, and below each what it costs.

Needs matplotlib, the extra `plot`.
"""

import itertools
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convatlas.analysis.boxes import LOOKS, TALLEST, Box, Scale, canvas, draw_arrow, short, write
from convatlas.analysis.budget import bytes_text
from convatlas.analysis.report import Report, size_text
from convatlas.analysis.stages import Stage, find_skips, find_stages
from convatlas.plots import GREY, INK, check_chart, write_chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MEANING = {
    "conv": "convolutions",
    "up": "up-convolution",
    "pool": "pooling",
    "linear": "fully connected",
}
_BARS = (
    ("parameters", "params", "#0072B2"),
    ("multiply-adds", "macs", "#D55E00"),
    ("activations", "activation_bytes", "#009E73"),
)
_LEFT, _RIGHT, _HEAD, _BOXES, _NAMES, _BAR, _FOOT = 1.0, 0.2, 0.55, 1.72, 0.5, 0.66, 0.3  # inches
_SLAB = 0.06  # inches, the thickness of a pooling


def draw_network(report: Report, path: str | Path) -> None:
    """Draw the stages of a network as boxes, and what each of them costs as bars below it.

    The height and depth of a box are those of the maps that leave the stage, its thickness is
    their channels, all as square roots; a line through it parts the blocks of the stage, or the
    branches that are concatenated. A thin slab behind it is a pooling.

    Args:
        report: What `analyze` gives.
        path: A .png or .svg file to write.

    Raises:
        InputError: Another kind of file, or matplotlib is missing.
        FileError: The file can't be written.
    """
    check_chart(path)
    write_chart(path, lambda: _figure(report), description=describe_network(report))


def describe_network(report: Report) -> str:
    """Say in words what the figure of a network shows: every stage, its maps and its costs."""
    stages = [
        f"{stage.label}"
        + (f" x {stage.blocks}" if stage.blocks > 1 else "")
        + f": {size_text(stage.shape)}"
        + (f", pooled to {size_text(stage.pooled)}" if stage.pooled else "")
        + f", {stage.params:,} parameters, {stage.macs:,} multiply-adds, "
        f"{stage.activation_bytes:,} bytes of activations"
        for stage in find_stages(report)
    ]
    return "; ".join([f"{report.name} on {size_text(report.input_shape)}", *stages])


def _figure(report: Report) -> "Figure":
    from matplotlib.figure import Figure

    stages = find_stages(report)
    width = min(11.0, max(7.2, _LEFT + _RIGHT + 0.68 * (len(stages) + 1)))
    column = (width - _LEFT - _RIGHT) / (len(stages) + 1)
    height = _HEAD + _BOXES + _NAMES + len(_BARS) * _BAR + 0.25 + _FOOT
    figure = Figure(figsize=(width, height), facecolor="white")
    low = height - _HEAD - _BOXES - _NAMES
    boxes = canvas(figure, 0, low, width, _BOXES + _NAMES)
    _draw_boxes(boxes, report, stages, column)
    for i, (word, total, colour) in enumerate(_BARS):
        axes = canvas(figure, 0, low - (i + 1) * _BAR, width, _BAR - 0.06)
        _draw_bars(axes, stages, total, colour, column)
        axes.text(_LEFT - 0.05, 0, word, ha="right", va="bottom", fontsize=8, color=INK)
    fields = canvas(figure, 0, _FOOT, width, 0.25)
    fields.text(_LEFT - 0.05, 0.1, "field, pixels", ha="right", va="center", fontsize=8, color=INK)
    for i, stage in enumerate(stages):
        seen = f"{stage.receptive_field:,}" if stage.receptive_field else "all"
        write(fields, _middle(i, column), 0.1, seen, 7)
    _write_head(figure, report, height)
    _draw_legend(figure, stages, height)
    return figure


def _middle(position: int, column: float) -> float:
    """Give the middle of a stage's column; the first one is that of the image."""
    return _LEFT + (position + 1.5) * column


def _write_head(figure: "Figure", report: Report, height: float) -> None:
    totals = (
        f"{short(report.params)} parameters",
        f"{short(report.macs)} multiply-adds",
        f"{bytes_text(report.activation_bytes)} of activations",
        f"{report.weight_layers} weight layers",
    )
    title = f"{report.name} on {size_text(report.input_shape)}"
    left = 0.12 / figure.get_size_inches()[0]
    figure.text(left, 1 - 0.2 / height, title, fontsize=12, color=INK, va="center", weight="bold")
    figure.text(left, 1 - 0.42 / height, ", ".join(totals), fontsize=8.5, color=GREY, va="center")


def _draw_legend(figure: "Figure", stages: Sequence[Stage], height: float) -> None:
    from matplotlib.patches import Patch

    kinds = {stage.kind for stage in stages} | {"pool" for stage in stages if stage.pooled}
    handles = [
        Patch(facecolor=LOOKS[kind][0], edgecolor=INK, linewidth=0.5, label=word)
        for kind, word in _MEANING.items()
        if kind in kinds
    ]
    place = {"loc": "upper right", "bbox_to_anchor": (0.995, 1 - 0.08 / height), "ncols": 4}
    look = {"frameon": False, "fontsize": 7.5, "labelcolor": INK, "columnspacing": 1.0}
    figure.legend(handles=handles, **place, **look, handlelength=1.2, handleheight=0.8)
    note = "Boxes: height and depth of the maps, thickness their channels, as square roots."
    figure.text(0.995, 0.09 / height, note, fontsize=6.5, color=GREY, ha="right", va="center")


def _draw_boxes(axes: "Axes", report: Report, stages: Sequence[Stage], column: float) -> None:
    shapes = [report.input_shape, *(stage.shape for stage in stages)]
    sides = [max(shape[1:3]) for shape in shapes if len(shape) == 3]
    scale = Scale(column, max(sides, default=1), max(shape[0] for shape in shapes))
    middle = _NAMES + TALLEST / 2 + 0.1
    ends = [_draw_stage(axes, None, report.input_shape, middle, -1, scale)]
    ends += [
        _draw_stage(axes, stage, stage.shape, middle, i, scale) for i, stage in enumerate(stages)
    ]
    for (_, here), (there, _) in itertools.pairwise(ends):
        draw_arrow(axes, (here + 0.02, middle), (there - 0.02, middle))
    for giver, taker in find_skips(report, stages):
        _draw_skip(axes, giver, taker, stages, middle, scale)
    _name(axes, -1, column, "image", size_text(report.input_shape))
    for i, stage in enumerate(stages):
        _name(axes, i, column, stage.label, size_text(stage.shape))


def _draw_stage(
    axes: "Axes",
    stage: Stage | None,
    shape: Sequence[int],
    middle: float,
    position: int,
    scale: Scale,
) -> tuple[float, float]:
    """Draw a box and the pooling behind it; give where they begin and end."""
    thick, depth = scale.thickness(shape), scale.depth(shape)
    pooled = None if stage is None else stage.pooled
    left = _middle(position, scale.column) - (thick + depth + _SLAB * (pooled is not None)) / 2
    kind = "image" if stage is None else stage.kind
    cuts = [] if stage is None else _cuts(stage)
    end = Box(left, middle, thick, shape, kind, cuts).draw(axes, scale)
    if pooled is not None:
        start = left + thick + depth / 2 + 0.02
        end = max(end, Box(start, middle, _SLAB, pooled, "pool").draw(axes, scale))
    if stage is not None and stage.blocks > 1:
        top = middle + scale.height(shape) / 2 + scale.rise(shape) + 0.08
        write(axes, left + (thick + depth) / 2, top, f"x {stage.blocks}", 7.5)
    return left, end


def _cuts(stage: Stage) -> list[float]:
    """Give where lines part a box, as parts of its thickness."""
    widths = stage.branches or (1,) * stage.blocks
    return [sum(widths[:i]) / sum(widths) for i in range(1, len(widths))]


def _draw_skip(
    axes: "Axes",
    giver: int,
    taker: int,
    stages: Sequence[Stage],
    middle: float,
    scale: Scale,
) -> None:
    """Lead an arrow over the boxes from one stage to a later one."""
    x, end = _middle(giver, scale.column), _middle(taker, scale.column)
    start, top = (
        middle + scale.height(stage.shape) / 2 + scale.rise(stage.shape)
        for stage in (stages[giver], stages[taker])
    )
    start += 0.16 if stages[giver].blocks > 1 else 0.02
    level = start + 0.07
    axes.plot([x, x, end], [start, level, level], color=GREY, linewidth=0.8)
    draw_arrow(axes, (end, level), (end, top))


def _name(axes: "Axes", position: int, column: float, label: str, size: str) -> None:
    """Write the name of a stage and what leaves it below its box."""
    letters = max(5, int(column / 0.068))
    lines = textwrap.wrap(label.replace("_", "_ "), letters, break_long_words=False)
    x, y = _middle(position, column), _NAMES - 0.1
    for line in lines[:2]:
        write(axes, x, y, line.replace("_ ", "_"), 7.2, weight="bold")
        y -= 0.125
    write(axes, x, y, size, 6.4 if len(size) * 0.062 < column else 5.4, color=GREY)


def _draw_bars(
    axes: "Axes", stages: Sequence[Stage], total: str, colour: str, column: float
) -> None:
    from matplotlib.patches import Rectangle

    values = [getattr(stage, total) for stage in stages]
    most, room = max([*values, 1]), _BAR - 0.06 - 0.14
    axes.plot([_LEFT, _middle(len(stages) - 1, column) + column / 2], [0, 0], color=GREY, lw=0.7)
    for i, value in enumerate(values):
        height = room * value / most
        x = _middle(i, column)
        axes.add_patch(Rectangle((x - 0.3 * column, 0), 0.6 * column, height, color=colour, lw=0))
        text = bytes_text(value) if total == "activation_bytes" else short(value)
        write(axes, x, height + 0.07, text if value else "0", 6.6)
