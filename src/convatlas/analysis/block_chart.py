"""The figure of a block: its layers as boxes, its branches side by side.

Needs matplotlib, the extra `plot`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convatlas.analysis.blocks import Node, block_graph, lanes, ranks
from convatlas.analysis.boxes import LOOKS, canvas, draw_arrow, short, write
from convatlas.analysis.report import Report, size_text
from convatlas.plots import GREY, INK, check_chart, write_chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LANE, _ROW, _BOX, _LINE = 1.32, 0.62, 0.24, 0.125  # inches
_HEAD, _EDGE, _GAP = 0.52, 0.15, 0.4


def draw_blocks(blocks: Mapping[str, Report], path: str | Path) -> None:
    """Draw blocks side by side, each from its input down to its output.

    Args:
        blocks: Title -> what `analyze` gives for the block alone.
        path: A .png or .svg file to write.

    Raises:
        InputError: A block can't be followed, another kind of file, or matplotlib is missing.
        FileError: The file can't be written.
    """
    check_chart(path)
    graphs = {title: block_graph(report) for title, report in blocks.items()}
    write_chart(path, lambda: _figure(blocks, graphs), description=describe_blocks(blocks))


def describe_blocks(blocks: Mapping[str, Report]) -> str:
    """Say in words what the figure of blocks shows: each layer, and what leads to it."""
    told = []
    for title, report in blocks.items():
        known = {node.name: node for node in block_graph(report)}
        steps = [
            f"{', '.join([node.label, *node.notes])} of "
            f"{' and '.join(known[given].label for given in node.inputs)}"
            for node in known.values()
            if node.inputs
        ]
        totals = f"{report.params:,} parameters, {report.macs:,} multiply-adds"
        told.append(f"{title} on {size_text(report.input_shape)}, {totals}: {'; '.join(steps)}")
    return ". ".join(told)


def _figure(blocks: Mapping[str, Report], graphs: Mapping[str, list[Node]]) -> "Figure":
    from matplotlib.figure import Figure

    places = {title: (lanes(nodes), ranks(nodes)) for title, nodes in graphs.items()}
    widths = {title: max(2.1, _LANE * _columns(found)) for title, (found, _) in places.items()}
    rows = max(max(rows.values()) for _, rows in places.values()) + 1
    height = _HEAD + rows * _ROW + _EDGE
    width = sum(widths.values()) + _GAP * (len(widths) - 1) + 2 * _EDGE
    figure = Figure(figsize=(width, height), facecolor="white")
    left = _EDGE
    for title, nodes in graphs.items():
        axes = canvas(figure, left, 0, widths[title], height)
        middle = widths[title] / 2
        write(axes, middle, height - 0.2, title, 10, weight="bold")
        totals = _totals(blocks[title])
        write(axes, middle, height - 0.4, totals, 7.5, color=GREY)
        shift = (widths[title] - _LANE * _columns(places[title][0])) / 2
        _draw(axes, nodes, places[title], shift, height - _HEAD)
        left += widths[title] + _GAP
    return figure


def _totals(report: Report) -> str:
    return f"{short(report.params)} parameters, {short(report.macs)} multiply-adds"


def _columns(found: Mapping[tuple[str, int], float]) -> int:
    return 1 + int(max(found.values(), default=0))


def _draw(
    axes: "Axes",
    nodes: Sequence[Node],
    places: tuple[dict[tuple[str, int], float], dict[str, int]],
    shift: float,
    top: float,
) -> None:
    found, rows = places
    ends: dict[str, list[float]] = {node.name: [] for node in nodes}
    for node in nodes:
        for i, given in enumerate(node.inputs):
            ends[node.name].append(found[node.name, i])
            ends[given].append(found[node.name, i])
    heights = {node.name: _BOX + _LINE * (len(_lines(node)) - 1) for node in nodes}
    middles = {name: top - (row + 0.5) * _ROW for name, row in rows.items()}
    for node in nodes:
        for i, given in enumerate(node.inputs):
            x = shift + (found[node.name, i] + 0.5) * _LANE
            start, end = (middles[given] - heights[given] / 2, middles[node.name])
            draw_arrow(axes, (x, start), (x, end + heights[node.name] / 2))
    for node in nodes:
        low, high = min(ends[node.name], default=0), max(ends[node.name], default=0)
        left, right = shift + (low + 0.04) * _LANE, shift + (high + 0.96) * _LANE
        _draw_box(axes, node, left, right, middles[node.name], heights[node.name])


def _draw_box(
    axes: "Axes", node: Node, left: float, right: float, middle: float, height: float
) -> None:
    from matplotlib.patches import FancyBboxPatch

    kind = {"join": "linear", "norm": "image", "other": "image"}.get(node.kind, node.kind)
    box = FancyBboxPatch(
        (left, middle - height / 2),
        right - left,
        height,
        boxstyle="round,pad=0,rounding_size=0.05",
        facecolor=LOOKS[kind][0],
        edgecolor=INK,
        linewidth=0.6,
    )
    axes.add_patch(box)
    lines = _lines(node)
    y = middle + _LINE * (len(lines) - 1) / 2
    for line in lines:
        size, colour = (6.8, INK) if line is lines[0] else (6.3, "#4a4a4a")
        write(axes, (left + right) / 2, y, line, size, color=colour, va="center_baseline")
        y -= _LINE


def _lines(node: Node) -> list[str]:
    """Write what a box says: what it is, and what follows it at once."""
    label = node.label
    if node.kind in ("image", "join"):
        label += f", {size_text(node.shape)}"
    return [label, ", ".join(node.notes)] if node.notes else [label]
