"""A network as the chain of its stages: what a figure of a paper shows, read from a report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from convatlas.analysis.meta import images
from convatlas.analysis.record import LayerRecord
from convatlas.analysis.report import Report

_MOST = 26  # stages that a picture has room for


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a network, as one box of its figure.

    Attributes:
        name: Dotted name of the module, such as "stages.conv2_x".
        layers: What runs in it, with the activations, normalizations and poolings that follow.
        shape: What leaves it, without the batch, before `pooled`.
        pooled: What leaves the pooling at its end; None: it does not end with one.
        blocks: How many blocks, or layers with weights, follow each other in it.
        branches: Channels of each branch that is concatenated at its end; empty: it has none.
        kind: "up" for an up-convolution, "pool" for a pooling, "linear" for what has no map.
    """

    name: str
    layers: tuple[LayerRecord, ...]
    shape: tuple[int, ...]
    pooled: tuple[int, ...] | None = None
    blocks: int = 1
    branches: tuple[int, ...] = ()
    kind: str = "conv"

    @property
    def label(self) -> str:
        """The paper's name of the stage: "conv2_x"."""
        return self.name.partition(".")[2] or self.name

    @property
    def params(self) -> int:
        """Parameters of its layers."""
        return sum(layer.params for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-adds of its layers, for one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Size of the outputs of its layers, for one image."""
        return sum(layer.activation_bytes for layer in self.layers)

    @property
    def receptive_field(self) -> int:
        """Pixels that a value of its last map depends on; 0: it has no map."""
        return next((row.receptive_field for row in reversed(self.layers) if row.is_map), 0)


def find_stages(report: Report) -> list[Stage]:
    """Cut a network into its stages: the children of stem, stages and head, or what it has.

    What has no weights of its own joins the stage before it, in a head the stage after it, so that
    params, MACs and activation bytes of the stages add up to those of the network.
    """
    groups = _groups(report.layers, 2)
    if len(groups) > _MOST:
        groups = _groups(report.layers, 1)
    return [_stage(report, name, rows) for name, rows in groups]


def find_skips(report: Report, stages: Sequence[Stage]) -> list[tuple[int, int]]:
    """Find where a stage takes the maps of an earlier one that is not the one before it.

    Returns:
        Pairs of positions in `stages`: who gives, who takes.
    """
    owner = {layer.name: i for i, stage in enumerate(stages) for layer in stage.layers}
    makers: dict[int, int] = {}
    kept: list[Tensor] = []  # as long as we look, so that no id comes twice
    skips = set()

    def enter(position: int) -> Any:
        def hook(_module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
            for given in tree_leaves((args, kwargs)):
                maker = makers.get(id(given), position)
                if maker < position - 1:
                    skips.add((maker, position))

        return hook

    def leave(position: int) -> Any:
        def hook(_module: nn.Module, _args: tuple, output: Any) -> None:
            for made in tree_leaves(output):
                kept.append(made)
                makers.setdefault(id(made), position)

        return hook

    handles = []
    for name, module in report.model.named_modules():
        inside = {i for row, i in owner.items() if row == name or row.startswith(f"{name}.")}
        if name and len(inside) == 1:
            (position,) = inside
            handles.append(module.register_forward_pre_hook(enter(position), with_kwargs=True))
            handles.append(module.register_forward_hook(leave(position)))
    try:
        with torch.no_grad(), torch.device("meta"):
            report.model(images(report.model, report.input_shape))
    finally:
        for handle in handles:
            handle.remove()
    return sorted(skips)


def _groups(layers: Sequence[LayerRecord], depth: int) -> list[tuple[str, list[LayerRecord]]]:
    """Sort the layers by the first parts of their names, and join what has no weights."""
    runs: list[tuple[str, list[LayerRecord]]] = []
    for layer in layers:
        name = ".".join(layer.name.split(".")[:depth])
        if not runs or runs[-1][0] != name:
            runs.append((name, []))
        runs[-1][1].append(layer)
    groups: list[tuple[str, list[LayerRecord]]] = []
    waiting: list[LayerRecord] = []
    for i, (name, rows) in enumerate(runs):
        if not _is_light(rows):
            groups.append((name, [*waiting, *rows]))
            waiting = []
        elif groups and (_room(groups[-1][0]) == _room(name) or not _comes(runs[i + 1 :], name)):
            groups[-1][1].extend([*waiting, *rows])
            waiting = []
        else:
            waiting += rows
    if waiting:
        groups.append((runs[-1][0], waiting))
    return groups


def _room(name: str) -> str:
    return name.partition(".")[0]


def _comes(runs: Sequence[tuple[str, list[LayerRecord]]], name: str) -> bool:
    """Tell whether a part with weights follows in the same room."""
    return any(_room(other) == _room(name) and not _is_light(rows) for other, rows in runs)


def _is_light(rows: Sequence[LayerRecord]) -> bool:
    return not any(row.macs or (row.params and row.role != "norm") or _maps(row) for row in rows)


def _maps(row: LayerRecord) -> bool:
    """Tell whether a layer makes a vector of another one, as the fixed codes of LeNet-5 do."""
    return len(row.input_shape) == 1 == len(row.output_shape) and (
        row.input_shape != row.output_shape
    )


def _stage(report: Report, name: str, rows: Sequence[LayerRecord]) -> Stage:
    tail = next((row for row in reversed(rows) if _is_pooling(row)), None)
    after = rows[rows.index(tail) + 1 :] if tail is not None else []
    joined = any(row.kind in ("cat", "add") for row in after)  # the pooling is one of the branches
    if tail is rows[0] or joined or not _is_light(after):
        tail = None
    before = rows if tail is None else rows[: rows.index(tail)]
    flat = [row for row in before if len(row.output_shape) < len(row.input_shape) and not row.macs]
    main = next((row for row in reversed(before) if row not in flat), before[-1])
    roles = {row.role for row in rows if row.macs or row.params}
    kind = "conv"
    if len(main.output_shape) < 3 and not main.is_map:
        kind = "linear"
    elif any(row.kind == "ConvTranspose2d" for row in rows):
        kind = "up"
    elif roles == {"pool"}:
        kind = "pool"
    pooled = None if tail is None else tail.output_shape
    blocks, branches = _parts(report, name, rows, main)
    return Stage(name, tuple(rows), main.output_shape, pooled, blocks, branches, kind)


def _is_pooling(row: LayerRecord) -> bool:
    maps = len(row.input_shape) == 3 == len(row.output_shape)
    return row.role == "pool" and maps and row.input_shape[1:] != row.output_shape[1:]


def _parts(
    report: Report, name: str, rows: Sequence[LayerRecord], main: LayerRecord
) -> tuple[int, tuple[int, ...]]:
    """Give the blocks that follow each other in a stage, or the branches that end in it."""
    modules = dict(report.model.named_modules())
    if name not in modules:
        return 1, ()
    shapes = {row.name: row.output_shape for row in rows}
    shapes |= {path: record.output_shape for path, record in report.containers.items()}
    children = [f"{name}.{child}" for child, _ in modules[name].named_children()]
    if isinstance(modules[name], nn.Sequential):
        heavy = [
            child
            for child in children
            if any(row.macs and f"{row.name}.".startswith(f"{child}.") for row in rows)
        ]
        return max(1, len(heavy)), ()
    ends = [shapes[child] for child in children if child in shapes]
    size, joined = main.output_shape[1:], main.kind == "cat"
    channels = [shape[0] for shape in ends if shape[1:] == size]
    for count in range(2, len(channels) + 1):
        if joined and math.fsum(channels[-count:]) == main.output_shape[0]:
            return 1, tuple(channels[-count:])
    return 1, ()
