"""The figure of the family tree: papers by year, and arrows from what they build on.

Needs matplotlib, the extra `plot`.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convatlas.analysis.boxes import LOOKS, canvas, write
from convatlas.analysis.lineage import Family
from convatlas.plots import GREY, INK, check_chart, write_chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Spot = tuple[int, str]  # row, and a family or an arrow that passes: "resnet>squeezenet"

_ROW, _BOX, _WIDE, _PASS, _GAP = 0.7, 0.36, 1.16, 0.16, 0.12  # inches
_PORT = 0.16  # inches between the ends of two arrows at one box
_LEFT, _HEAD, _FOOT = 0.6, 0.5, 0.1
_DASHES = (0, (3, 2))
_SWEEPS = 24  # until the boxes stand still


def draw_lineage(
    families: Sequence[Family], path: str | Path, remarks: Mapping[str, str] | None = None
) -> None:
    """Draw the tree, the oldest paper on top.

    A full line is code that the younger file imports, a broken one an idea that its card declares.

    Args:
        families: What `lineage` gives.
        path: A .png or .svg file to write.
        remarks: A second line for the box of a family.

    Raises:
        InputError: Another kind of file, or matplotlib is missing.
        FileError: The file can't be written.
    """
    check_chart(path)
    told = describe_lineage(families, remarks)
    write_chart(path, lambda: _figure(families, remarks or {}), description=told)


def describe_lineage(families: Sequence[Family], remarks: Mapping[str, str] | None = None) -> str:
    """Say in words what the figure shows: who builds on whom, by code or by ideas."""
    lines = []
    for family in families:
        remark = (remarks or {}).get(family.name, "")
        line = f"{family.year} {family.name}" + (f" ({remark})" if remark else "")
        code = {ancestor.name for ancestor in family.ancestors if ancestor.parts}
        ways = [f"{'code' if name in code else 'ideas'} of {name}" for name in family.parents]
        lines.append(f"{line}: {', '.join(ways)}" if ways else line)
    return "; ".join(lines)


def _figure(families: Sequence[Family], remarks: Mapping[str, str]) -> "Figure":
    from matplotlib.figure import Figure

    rows = _rows(families)
    spots, ways = _spots(families, rows)
    places = _places(spots, ways)
    width = _LEFT + max(x for x in places.values()) + _WIDE / 2 + 0.15
    height = _HEAD + _ROW * (max(rows.values()) + 1) + _FOOT
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = canvas(figure, 0, 0, width, height)
    _draw_years(axes, families, rows, width, height)
    _draw_legend(axes, width, height)
    for family in families:
        code = {ancestor.name for ancestor in family.ancestors if ancestor.parts}
        for parent in family.parents:
            points = [
                (_LEFT + x, _level(row, height))
                for x, row in _course((parent, family.name), ways, places)
            ]
            _draw_way(axes, points, parent in code)
    for family in families:
        at = (_LEFT + places[rows[family.name], family.name], _level(rows[family.name], height))
        _draw_box(axes, at, family.name, remarks.get(family.name, ""))
    return figure


def _rows(families: Sequence[Family]) -> dict[str, int]:
    """Give each family a row: one for each year, and more where a paper builds on its own year."""
    years = {family.name: family.year for family in families}
    inner: dict[str, int] = {}
    for family in families:
        same = [inner[parent] for parent in family.parents if years[parent] == family.year]
        inner[family.name] = max(same, default=-1) + 1
    order = sorted({(family.year, inner[family.name]) for family in families})
    return {family.name: order.index((family.year, inner[family.name])) for family in families}


def _spots(
    families: Sequence[Family], rows: Mapping[str, int]
) -> tuple[list[list[Spot]], dict[tuple[str, str], list[Spot]]]:
    """Give what stands in each row, boxes and passing arrows, and the way of each arrow."""
    spots: list[list[Spot]] = [[] for _ in range(max(rows.values()) + 1)]
    ways: dict[tuple[str, str], list[Spot]] = {}
    for family in families:
        spots[rows[family.name]].append((rows[family.name], family.name))
        for parent in family.parents:
            passed = [
                (row, f"{parent}>{family.name}")
                for row in range(rows[parent] + 1, rows[family.name])
            ]
            for spot in passed:
                spots[spot[0]].append(spot)
            ends = (rows[parent], parent), (rows[family.name], family.name)
            ways[parent, family.name] = [ends[0], *passed, ends[1]]
    return spots, ways


def _places(
    spots: Sequence[list[Spot]], ways: Mapping[tuple[str, str], list[Spot]]
) -> dict[Spot, float]:
    """Move each spot between its neighbours above and below, until arrows run straight."""
    near: dict[Spot, list[Spot]] = {spot: [] for row in spots for spot in row}
    for way in ways.values():
        for a, b in pairwise(way):
            near[a].append(b)
            near[b].append(a)
    places = {spot: float(i) for row in spots for i, spot in enumerate(row)}
    for sweep in range(_SWEEPS):
        for row in spots if sweep % 2 == 0 else reversed(spots):
            step = -1 if sweep % 2 == 0 else 1
            wish = {spot: _wish(spot, near[spot], places, step, sweep) for spot in row}
            row.sort(key=lambda spot: (wish[spot], spot))
            _spread(row, wish, places)
    least = min(places[spot] - _width(spot) / 2 for spot in places)
    return {spot: x - least for spot, x in places.items()}


def _wish(
    spot: Spot, near: Sequence[Spot], places: Mapping[Spot, float], step: int, sweep: int
) -> float:
    """Give where a spot would stand straight: among those above, or below; at last among all."""
    seen = [other for other in near if other[0] - spot[0] == step or sweep > _SWEEPS // 2] or near
    return sum(places[other] for other in seen) / len(seen) if seen else places[spot]


def _spread(row: Sequence[Spot], wish: Mapping[Spot, float], places: dict[Spot, float]) -> None:
    """Place a row as near to its wishes as the widths allow."""
    groups: list[tuple[list[Spot], float]] = []  # spots that touch, and where their first one is
    for spot in row:
        group, start = [spot], wish[spot]
        while groups and groups[-1][1] + _length(groups[-1][0], group[0]) > start:
            before, _ = groups.pop()
            group = before + group
            start = _best_start(group, wish)
        groups.append((group, start))
    for group, start in groups:
        x = start
        for i, spot in enumerate(group):
            x += _distance(group[i - 1], spot) if i else 0.0
            places[spot] = x


def _best_start(group: Sequence[Spot], wish: Mapping[Spot, float]) -> float:
    ahead, total = 0.0, 0.0
    for i, spot in enumerate(group):
        ahead += _distance(group[i - 1], spot) if i else 0.0
        total += wish[spot] - ahead
    return total / len(group)


def _length(group: Sequence[Spot], after: Spot) -> float:
    return sum(_distance(a, b) for a, b in pairwise([*group, after]))


def _distance(a: Spot, b: Spot) -> float:
    return (_width(a) + _width(b)) / 2 + _GAP


def _width(spot: Spot) -> float:
    return _PASS if ">" in spot[1] else _WIDE


def _course(
    ends: tuple[str, str], ways: Mapping[tuple[str, str], list[Spot]], places: Mapping[Spot, float]
) -> list[tuple[float, int]]:
    """Give the points of an arrow; arrows of one box stand side by side, in the order of aims."""
    way = ways[ends]
    out = [other for other in ways.values() if other[0] == way[0]]
    into = [other for other in ways.values() if other[-1] == way[-1]]
    out.sort(key=lambda other: places[other[1]])
    into.sort(key=lambda other: places[other[-2]])
    points = [(places[spot], spot[0]) for spot in way]
    for end, beside in ((0, out), (-1, into)):
        x, row = points[end]
        points[end] = (x + _PORT * (beside.index(way) - (len(beside) - 1) / 2), row)
    return points


def _level(row: int, height: float) -> float:
    return height - _HEAD - (row + 0.5) * _ROW


def _draw_years(
    axes: "Axes", families: Sequence[Family], rows: Mapping[str, int], width: float, height: float
) -> None:
    from matplotlib.patches import Rectangle

    for i, year in enumerate(dict.fromkeys(family.year for family in families)):
        held = [rows[family.name] for family in families if family.year == year]
        top, low = (_level(row, height) for row in (min(held), max(held)))
        if i % 2 == 0:
            place = (0, low - _ROW / 2)
            axes.add_patch(Rectangle(place, width, top - low + _ROW, color="#f4f4f4", lw=0))
        write(axes, 0.3, (top + low) / 2, str(year), 9, color=GREY, weight="bold")


def _draw_legend(axes: "Axes", width: float, height: float) -> None:
    y = height - 0.24
    words = ((width - 3.0, "-", "imports its code"), (width - 1.4, _DASHES, "takes its ideas"))
    for x, dashes, text in words:
        axes.plot([x, x + 0.35], [y, y], color=INK, linewidth=0.9, linestyle=dashes)
        write(axes, x + 0.42, y, text, 7.5, ha="left")
    write(axes, 0.12, y, "What each paper builds on", 11, ha="left", weight="bold")


def _draw_way(axes: "Axes", points: Sequence[tuple[float, float]], code: bool) -> None:
    """Draw an arrow as a smooth curve through the rows that it passes."""
    from matplotlib.patches import FancyArrowPatch, PathPatch
    from matplotlib.path import Path as Curve

    half = _BOX / 2
    corners = [(points[0][0], points[0][1] - half)]
    codes = [Curve.MOVETO]
    for (x, y), (u, v) in pairwise(points):
        start, end = y - half, v + half
        bend = (start + end) / 2
        corners += [(x, bend), (u, bend), (u, end), (u, v - half)]
        codes += [Curve.CURVE4] * 3 + [Curve.LINETO]  # straight where the boxes of the row stand
    corners[-2:], codes[-2:] = [(corners[-2][0], corners[-2][1] + 0.05)], [Curve.CURVE4]
    look: dict[str, Any] = {
        "edgecolor": INK,
        "linewidth": 0.9,
        "linestyle": "-" if code else _DASHES,
    }
    axes.add_patch(PathPatch(Curve(corners, codes), facecolor="none", **look))
    x, y = corners[-1]
    tip: dict[str, Any] = {
        "arrowstyle": "-|>,head_width=1.6,head_length=3",
        "color": INK,
        "linewidth": 0,
    }
    axes.add_patch(FancyArrowPatch((x, y + 0.01), (x, y - 0.05), shrinkA=0, shrinkB=0, **tip))


def _draw_box(axes: "Axes", at: tuple[float, float], name: str, remark: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = at
    corner = (x - _WIDE / 2, y - _BOX / 2)
    shape = "round,pad=0,rounding_size=0.05"
    look: dict[str, Any] = {"facecolor": LOOKS["conv"][0], "edgecolor": INK, "linewidth": 0.6}
    axes.add_patch(FancyBboxPatch(corner, _WIDE, _BOX, boxstyle=shape, zorder=3, **look))
    write(axes, x, y + (0.075 if remark else 0), name, 7.6, weight="bold", zorder=4)
    if remark:
        write(axes, x, y - 0.085, remark, 6.2, color="#4a4a4a", zorder=4)
