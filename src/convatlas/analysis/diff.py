"""What changes from one network to another, layer by layer, and what it costs: `diff`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, Literal

from torch import nn

from convatlas.analysis.alignment import align
from convatlas.analysis.record import LayerRecord
from convatlas.analysis.report import Report, analyze, size_text

COLUMNS = ("layer", "change", "params", "MACs", "activation bytes", "field")
TOTALS = {
    "params": "parameters",
    "macs": "MACs",
    "activation_bytes": "activation bytes",
    "weight_layers": "weight layers",
    "receptive_field": "receptive field",
}
_COSTS = ("params", "macs", "activation_bytes", "receptive_field")
_SHAPES = {"kernel": "kernel", "stride": "stride", "output_shape": "output"}


@dataclass(frozen=True, slots=True)
class LayerPair:
    """A layer of one network, and the one that stands in its place in the other.

    Attributes:
        a: Of the first network; None: the second has a layer more.
        b: Of the second network; None: it has a layer less.
    """

    a: LayerRecord | None
    b: LayerRecord | None

    @property
    def change(self) -> Literal["same", "changed", "added", "removed"]:
        """What became of the layer; another name or receptive field is no change of it."""
        if self.a is None:
            return "added"
        if self.b is None:
            return "removed"
        return "changed" if self.changes else "same"

    @property
    def changes(self) -> list[str]:
        """What differs between two layers, in words."""
        a, b = self.a, self.b
        if a is None or b is None:
            return []
        words = [f"{a.kind} -> {b.kind}"] if a.kind != b.kind else []
        for attribute, word in _SHAPES.items():
            old, new = getattr(a, attribute), getattr(b, attribute)
            if old != new:
                words.append(f"{word} {_shape(old)} -> {_shape(new)}")
        if a.groups != b.groups:
            words.append(f"groups {a.groups} -> {b.groups}")
        if not words and (self.delta("params") or self.delta("macs")):
            words.append(f"input {_shape(a.input_shape)} -> {_shape(b.input_shape)}")
        return words

    def delta(self, cost: str) -> int:
        """Give by how much `params`, `macs`, `activation_bytes` or `receptive_field` grows."""
        old = 0 if self.a is None else getattr(self.a, cost)
        return (0 if self.b is None else getattr(self.b, cost)) - old

    def to_dict(self) -> dict[str, Any]:
        """Give everything as numbers and strings, for JSON."""
        return {
            "a": self.a and self.a.name,
            "b": self.b and self.b.name,
            "change": self.change,
            "changes": self.changes,
            **{f"delta_{cost}": self.delta(cost) for cost in _COSTS},
        }


@dataclass(frozen=True)
class Diff:
    """Two networks, their layers side by side.

    Attributes:
        a: The first network.
        b: The second network.
        pairs: Their layers, in order of execution.
    """

    a: Report
    b: Report
    pairs: tuple[LayerPair, ...]

    @property
    def title(self) -> str:
        """Name both networks and their images."""
        a, b = (f"{side.name} on {size_text(side.input_shape)}" for side in (self.a, self.b))
        return f"{a} -> {b}"

    def delta(self, total: str) -> int:
        """Give by how much a total of TOTALS grows, such as "macs"."""
        return getattr(self.b, total) - getattr(self.a, total)

    @cached_property
    def changed(self) -> list[LayerPair]:
        """The layers that are not the same in both networks."""
        return [pair for pair in self.pairs if pair.change != "same"]

    def to_dict(self) -> dict[str, Any]:
        """Give everything as numbers, strings and lists, for JSON."""
        totals = {
            total: {"a": getattr(self.a, total), "b": getattr(self.b, total)} for total in TOTALS
        }
        return {
            "a": {"name": self.a.name, "input_shape": list(self.a.input_shape)},
            "b": {"name": self.b.name, "input_shape": list(self.b.input_shape)},
            "totals": {
                total: sides | {"delta": sides["b"] - sides["a"]} for total, sides in totals.items()
            },
            "layers": [pair.to_dict() for pair in self.pairs],
        }

    def rows(self, whole: bool = False) -> list[tuple[str, ...]]:
        """Give the table as text: the head, and the layers.

        Args:
            whole: Whether every layer has a row; else runs of layers that are the same, added or
                removed have one together.
        """
        rows = [COLUMNS]
        for change, run in groupby(self.pairs, key=lambda pair: pair.change):
            pairs = list(run)
            if not whole and (change == "same" or (change != "changed" and len(pairs) > 2)):
                rows.append(_folded(pairs))
            else:
                rows += [_row(pair) for pair in pairs]
        return rows

    def total_rows(self) -> list[tuple[str, str, str, str]]:
        """Give the totals as text: what, of the first, of the second, the change."""
        return [
            (
                word,
                f"{getattr(self.a, total):,}",
                f"{getattr(self.b, total):,}",
                f"{self.delta(total):+,}" if self.delta(total) else "same",
            )
            for total, word in TOTALS.items()
        ]

    def __str__(self) -> str:
        """The changed layers and the totals."""
        head = ("", self.a.name, self.b.name, "change")
        layers, totals = _table(self.rows(), left=2), _table([head, *self.total_rows()], left=1)
        return f"{self.title}\n\n{layers}\n\n{totals}"


def diff(a: nn.Module | str, b: nn.Module | str, input_shape: Sequence[int] | None = None) -> Diff:
    """Align the layers of two networks and tell what changes from the first to the second.

    Args:
        a: A name of the catalog, or any module.
        b: Likewise.
        input_shape: Of one image for both, (channels, height, width); by default each network's.

    Raises:
        UnknownNameError: No such network.
        InputError: A network does not run on such an input, or none is known for it.
    """
    return diff_reports(analyze(a, input_shape), analyze(b, input_shape))


def diff_reports(a: Report, b: Report) -> Diff:
    """Tell what changes from one analyzed network to another."""
    return Diff(a, b, tuple(LayerPair(*pair) for pair in align(a.layers, b.layers)))


def _row(pair: LayerPair) -> tuple[str, ...]:
    layers = [layer for layer in (pair.a, pair.b) if layer is not None]
    words = pair.changes or [pair.change]
    if len(layers) == 1:
        words = [pair.change, layers[0].kind, size_text(layers[0].output_shape)]
    names = dict.fromkeys(layer.name for layer in layers)
    return (" -> ".join(names), ", ".join(words), *_deltas([pair]), _field(pair))


def _folded(pairs: Sequence[LayerPair]) -> tuple[str, ...]:
    """Give one row for a run of layers with which the same has happened."""
    change, count = pairs[0].change, len(pairs)
    fields = [field for field in map(_field, pairs) if field]
    field = fields[-1] if fields else ""
    if change == "same":
        return f"... {count} alike", "", "", "", "", field
    first, last = (layer.name for pair in (pairs[0], pairs[-1]) if (layer := pair.a or pair.b))
    return (f"{first} ... {last}", f"{change}, {count} layers", *_deltas(pairs), field)


def _deltas(pairs: Sequence[LayerPair]) -> list[str]:
    deltas = (sum(pair.delta(cost) for pair in pairs) for cost in _COSTS[:3])
    return [f"{delta:+,}" if delta else "" for delta in deltas]


def _field(pair: LayerPair) -> str:
    layers = [layer for layer in (pair.a, pair.b) if layer is not None and layer.is_map]
    return " -> ".join(dict.fromkeys(f"{layer.receptive_field}" for layer in layers))


def _shape(shape: tuple[int, ...] | None) -> str:
    return "none" if shape is None else size_text(shape)


def _table(rows: Sequence[Sequence[str]], left: int) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
