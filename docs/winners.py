"""The ILSVRC by year, from the ledger: the errors of those who won, and how deep they were."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pictures import ledger, report_of

from convatlas import catalog
from convatlas.analysis.boxes import canvas, write
from convatlas.analysis.ledger import Claim
from convatlas.errors import UnknownNameError
from convatlas.plots import COLOURS, GREY, INK, write_chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PLACES = ("winner", "second place", "third place")
_LEFT, _ERRORS, _GAP, _DEPTHS = 1.85, 3.2, 0.5, 1.7  # inches
_HEAD, _ROW, _FOOT = 0.55, 0.235, 0.28


@dataclass(frozen=True, slots=True)
class Entry:
    """A result of the classification task.

    Attributes:
        year: Of the contest.
        name: A network of the catalog, or who entered.
        place: 0 for the winner.
        top5_error: In percent, on the test images.
        source: Who prints it.
        depth: Weight layers as recomputed; None: the network is not in the catalog.
    """

    year: int
    name: str
    place: int
    top5_error: float
    source: str
    depth: int | None


def entries(claims: Iterable[Claim] | None = None) -> list[Entry]:
    """Read the contests from the ledger, by year and place."""
    found = []
    for claim in ledger() if claims is None else claims:
        year = re.fullmatch(r"ilsvrc(\d{4})", str(claim.config.get("dataset")))
        where = claim.source.rpartition(", with ")[0] or claim.source
        place = next((i for i, word in enumerate(_PLACES) if word in where), None)
        contest = claim.quantity == "top5_error" and claim.config.get("task") == "classification"
        if year is not None and place is not None and contest:
            depth = _depth(claim.subject)
            error = float(claim.value)
            found.append(Entry(int(year[1]), claim.subject, place, error, claim.source, depth))
    return sorted(found, key=lambda entry: (entry.year, entry.place))


def human_error(claims: Iterable[Claim]) -> Claim:
    """Give the error that a trained person made on the same task."""
    return next(
        claim
        for claim in claims
        if claim.subject == "human" and isinstance(claim.value, float | int)
    )


def describe_winners() -> str:
    """Say in words what the picture shows."""
    told = [
        f"{entry.year} {_PLACES[entry.place]} {entry.name}: top-5 error {entry.top5_error:g} %"
        + (f", {entry.depth} weight layers" if entry.depth else "")
        for entry in entries()
    ]
    return "; ".join(told)


def draw_winners(path: Path) -> None:
    """Draw errors and depths by year."""
    write_chart(path, _figure, description=describe_winners())


def _depth(name: str) -> int | None:
    try:
        catalog.find(name)
    except UnknownNameError:
        return None
    return report_of(name).weight_layers


def _figure() -> "Figure":
    from matplotlib.figure import Figure

    found = entries()
    height = _HEAD + _ROW * len(found) + _FOOT
    width = _LEFT + _ERRORS + _GAP + _DEPTHS + 0.4
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = canvas(figure, 0, 0, width, height)
    write(axes, 0.12, height - 0.2, "ILSVRC classification", 11, ha="left", weight="bold")
    for x, word in ((_LEFT, "top-5 error, %"), (_LEFT + _ERRORS + _GAP, "weight layers")):
        write(axes, x, height - 0.42, word, 8, ha="left")
    for i, entry in enumerate(found):
        _draw_row(axes, entry, found, height - _HEAD - _ROW * (i + 0.5))
    human = human_error(ledger())
    x = _LEFT + _ERRORS * float(human.value) / max(entry.top5_error for entry in found)
    axes.plot([x, x], [_FOOT, height - _HEAD], color=INK, linewidth=0.8, linestyle=(0, (3, 2)))
    write(axes, x, _FOOT / 2, f"a trained person: {human.value:g}", 7)
    return figure


def _draw_row(axes: "Axes", entry: Entry, found: Sequence[Entry], y: float) -> None:
    """Write who entered, and draw the error and the depth."""
    first = entry is next(other for other in found if other.year == entry.year)
    if first:
        write(axes, 0.12, y, str(entry.year), 8.5, ha="left", weight="bold", color=GREY)
    weight = "bold" if entry.place == 0 else "normal"
    write(axes, _LEFT - 0.1, y, entry.name, 8, ha="right", weight=weight)
    error = _ERRORS * entry.top5_error / max(other.top5_error for other in found)
    colour = COLOURS[0] if entry.depth else "#b5b5b5"
    _draw_bar(axes, _LEFT, y, error, colour if entry.place == 0 else "none", colour)
    clear = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    write(axes, _LEFT + error + 0.06, y, f"{entry.top5_error:g}", 7.5, ha="left", bbox=clear)
    if entry.depth:
        start = _LEFT + _ERRORS + _GAP
        depth = _DEPTHS * entry.depth / max(other.depth or 0 for other in found)
        fill = COLOURS[4] if entry.place == 0 else "none"
        _draw_bar(axes, start, y, depth, fill, COLOURS[4])
        write(axes, start + depth + 0.06, y, str(entry.depth), 7.5, ha="left")


def _draw_bar(axes: "Axes", x: float, y: float, length: float, fill: str, edge: str) -> None:
    from matplotlib.patches import Rectangle

    place = (x, y - 0.075)
    axes.add_patch(Rectangle(place, length, 0.15, facecolor=fill, edgecolor=edge, linewidth=0.9))
