"""Counting layers and weights as papers do, in the words that they do it in."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from convatlas.analysis.record import LayerRecord
from convatlas.analysis.subjects import NotDerivable, Subject
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


def _modules(subject: Subject, kind: str) -> int:
    """Count the modules of a kind, by the names of their classes; those inside one are not."""
    found: list[str] = []
    for name, module in subject.model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if type(module).__name__.lower().startswith(kind.lower()) and name and not inside:
            found.append(name)
    if not found:
        raise NotDerivable(f"{subject.name} has no modules of the kind {kind}")
    return len(found)


def _sides(subject: Subject) -> int:
    if subject.side_report is None:
        raise NotDerivable(f"{subject.name} has no side classifiers")
    return len(list(subject.side_report.model.get_submodule("sides").children()))


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
    r"(\w+) modules": _modules,
}
