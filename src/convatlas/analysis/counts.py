"""Counting layers and weights as papers do, in the words that they do it in."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from convatlas.analysis.record import LayerRecord
from convatlas.analysis.subjects import NotDerivable, Subject
from convatlas.architectures.googlenet import Inception
from convatlas.errors import UnknownNameError

Predicate = Callable[[LayerRecord], bool]

_WORDS = {  # of a list of outputs -> role
    **dict.fromkeys(("conv", "convolution", "convolutional"), "conv"),
    **dict.fromkeys(("fc", "linear", "dense"), "linear"),
    **dict.fromkeys(("relu", "activation", "nonlinearity"), "activation"),
    **dict.fromkeys(("pool", "pooling"), "pool"),
    **dict.fromkeys(("norm", "lrn", "bn"), "norm"),
}


def is_depthwise(row: LayerRecord) -> bool:
    """Tell whether a convolution has a filter for each map."""
    return row.role == "conv" and row.groups > 1 and row.groups == row.input_shape[0]


def part(words: str) -> Predicate:
    """Give the layers that a part of a network is: "conv", "conv 3x3", "conv dw 3x3", "fc".

    Raises:
        NotDerivable: The words are not understood.
    """
    if words in ("fc", "fully connected", "linear"):
        return lambda row: row.role == "linear"
    match = re.fullmatch(r"conv( dw)?(?: (\d+)x(\d+))?", words)
    if match is None:
        raise NotDerivable(f"the part {words!r} is not understood")
    if match[2] is None and match[1] is None:
        return lambda row: row.role == "conv"
    kernel = (int(match[2]), int(match[3])) if match[2] else None
    depthwise = match[1] is not None
    return lambda row: (
        row.role == "conv"
        and (kernel is None or row.kernel == kernel)
        and is_depthwise(row) == depthwise
    )


def layer_rows(subject: Subject, config: Mapping[str, Any]) -> list[LayerRecord]:
    """List the layers in `config.layer`; without it all, for a block study has no names."""
    if "layer" not in config:
        return list(subject.report.layers)
    return subject.rows(subject.layer(config))


def weight_row(subject: Subject, config: Mapping[str, Any]) -> LayerRecord:
    """Give the layer with weights in `config.layer`.

    Raises:
        NotDerivable: There is none, or more than one.
    """
    rows = [row for row in layer_rows(subject, config) if row.weight_shape is not None]
    if len(rows) != 1:
        raise NotDerivable(f"{config.get('layer')} has {len(rows)} layers with weights, not one")
    return rows[0]


def count_params(rows: Iterable[LayerRecord], config: Mapping[str, Any]) -> int:
    """Add up parameters, without biases where `bias: false` and batch norm where `bn: false`."""
    total = 0
    for row in rows:
        if row.role == "norm" and config.get("bn") is False:
            continue
        total += row.params - (row.bias_params if config.get("bias") is False else 0)
    return total


def count_connections(rows: Iterable[LayerRecord]) -> int:
    """Add up units x (inputs of a unit + its bias)."""
    return sum(
        math.prod(row.output_shape) * (row.fan_in + (row.bias_params > 0))
        for row in rows
        if row.fan_in is not None
    )


def count_values(rows: Iterable[LayerRecord], image: tuple[int, ...], words: str) -> int:
    """Count the values of outputs named in words: "input, conv, relu, pool and fc outputs".

    Raises:
        NotDerivable: A word is not understood.
    """
    named = [word for word in re.findall(r"\w+", words) if word not in ("and", "outputs")]
    unknown = [word for word in named if word not in _WORDS and word != "input"]
    if unknown or not named:
        raise NotDerivable(f"the outputs {words!r} are not understood")
    roles = {_WORDS.get(word) for word in named}
    total = math.prod(image) if "input" in named else 0
    return total + sum(math.prod(row.output_shape) for row in rows if row.role in roles)


def is_fully_connected(row: LayerRecord) -> bool:
    """Tell whether every output sees every input: linear, or a convolution over the whole map."""
    if row.role != "conv":
        return row.role == "linear"
    maps = row.input_shape[1:]
    return row.groups == 1 and row.kernel == maps and math.prod(maps) > 1


def count_layers(subject: Subject, words: str) -> int:
    """Count what the words name: "conv layers", "blocks in conv3_x", "inception modules".

    Raises:
        NotDerivable: The words are not understood.
    """
    for pattern, count in _COUNTS.items():
        match = re.fullmatch(pattern, words)
        if match is not None:
            return count(subject, *match.groups())
    raise NotDerivable(f"no rule counts {words!r}")


def _children(subject: Subject, name: str) -> int:
    """Count the blocks of a stage."""
    try:
        record = subject.layer({"layer": name})
    except UnknownNameError as error:
        raise NotDerivable(str(error)) from error
    return len(list(subject.model.get_submodule(record.name).children()))


def _per_block(subject: Subject, kind: str) -> int:
    """Count the layers of each of the equal blocks `kind`1, `kind`2, ..."""
    blocks = [n for n in subject.report.containers if re.fullmatch(rf"(.*\.)?{kind}\d+", n)]
    sizes = {len(list(subject.model.get_submodule(name).children())) for name in blocks}
    if len(sizes) != 1:
        raise NotDerivable(f"the blocks {kind}1, ... of {subject.name} are not equally long")
    return sizes.pop()


def _named(subject: Subject, kind: str) -> list[str]:
    """Name the modules of a kind: those called dense1, dense2, ...; else by their classes.

    Those inside one are left out.
    """
    containers = subject.report.containers
    found = [name for name in containers if re.fullmatch(rf"(.*\.)?{kind}\d+", name)]
    for name, module in () if found else subject.model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if type(module).__name__.lower().startswith(kind.lower()) and name and not inside:
            found.append(name)
    if not found:
        raise NotDerivable(f"{subject.name} has no modules of the kind {kind}")
    return found


def _stem_blocks(subject: Subject, kind: str | None) -> int:
    """Count the poolings before the first module that end a run with a convolution."""
    first = _named(subject, kind or "inception")[0]
    blocks, convs = 0, 0
    for row in subject.report.layers:
        if row.name.startswith(f"{first}."):
            break
        convs += row.role == "conv"
        if row.role == "pool" and convs:
            blocks, convs = blocks + 1, 0
    return blocks


def _branches(subject: Subject, name: str | None) -> int:
    """Count the branches of an Inception module, by default of the first."""
    if name is not None:
        modules = [subject.model.get_submodule(subject.layer({"layer": name}).name)]
    else:
        modules = list(subject.model.modules())
    module = next((module for module in modules if isinstance(module, Inception)), None)
    if module is None:
        raise NotDerivable(f"{name or subject.name} is no Inception module")
    return len(module)


def _sides(subject: Subject) -> int:
    if subject.side_report is None:
        raise NotDerivable(f"{subject.name} has no side classifiers")
    return len(list(subject.side_report.model.get_submodule("sides").children()))


def _pools(kind: str) -> Predicate:
    start = {"max": "max", "average": "a"}[kind]  # AvgPool2d, AdaptiveAvgPool2d
    return lambda row: row.role == "pool" and row.kind.lower().startswith(start)


def _rows(subject: Subject, kind: Predicate) -> int:
    return sum(kind(row) for row in subject.report.layers)


_COUNTS: dict[str, Callable[..., int]] = {
    r"conv(?:olutional)? layers": lambda s: _rows(s, lambda row: row.role == "conv"),
    r"pool(?:ing)? layers": lambda s: _rows(s, lambda row: row.role == "pool"),
    r"(?:fully connected|fc) layers(?: of .*)?": lambda s: _rows(s, is_fully_connected),
    r"layers with pooling": lambda s: s.report.trace.weight_and_pool_layers,
    r"(?:\w+ )?(?:blocks|layers) (?:in|of) (\w+)": _children,
    r"(\w+) layers in block (\d+)": lambda s, kind, i: _children(s, f"{kind}{i}"),
    r"(\w+) layers per block": _per_block,
    r"auxiliary classifiers": _sides,
    r"(max|average)[- ]pool(?:ing)? layers": lambda s, kind: _rows(s, _pools(kind)),
    r"(?!conv|pool|fc)(\w+) (?:modules|blocks)": lambda s, kind: len(_named(s, kind)),
    r"branches(?: (?:in|of) (\w+))?": _branches,
    r"conv ?\+ ?pool blocks before the (?:(\w+) )?modules": _stem_blocks,
}
