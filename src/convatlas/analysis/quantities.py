"""How each quantity of the ledger is recomputed: a table of functions."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convatlas.analysis.counts import (
    count_connections,
    count_layers,
    count_params,
    count_values,
    layer_rows,
    part,
    weight_row,
)
from convatlas.analysis.record import LayerRecord
from convatlas.analysis.settings import read_setting
from convatlas.analysis.subjects import NotDerivable, Subject, text, whole

Config = Mapping[str, Any]

_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}


@dataclass(frozen=True, slots=True)
class Quantity:
    """How a quantity is recomputed.

    Attributes:
        compute: Gives the value for a network and a claim's config.
        keys: What `compute` reads from the config; every other key changes the network.
    """

    compute: Callable[[Subject, Config], Any]
    keys: frozenset[str] = frozenset()


def _params(subject: Subject, config: Config) -> int:
    words = config.get("part")
    parameters = list(subject.model.parameters())
    if words in ("trainable", "non-trainable"):
        wanted = words == "trainable"
        return sum(p.numel() for p in parameters if p.requires_grad == wanted)
    if words is not None or config.get("bn") is False or config.get("bias") is False:
        return count_params(_part_rows(subject, config), config)
    return sum(p.numel() for p in parameters)


def _part_rows(subject: Subject, config: Config) -> list[LayerRecord]:
    if "part" not in config:
        return list(subject.report.layers)
    wanted = part(text(config, "part"))
    return [row for row in subject.report.layers if wanted(row)]


def _params_share(subject: Subject, config: Config) -> float:
    everything = count_params(subject.report.layers, config)
    return count_params(_part_rows(subject, config), config) / everything


def _macs(subject: Subject, config: Config) -> int:
    return sum(row.macs for row in _part_rows(subject, config))


def _macs_share(subject: Subject, config: Config) -> float:
    return _macs(subject, config) / subject.report.macs


def _kernel_shape(subject: Subject, config: Config) -> list[int]:
    return list(weight_row(subject, config).weight_shape or ())


def _channels(subject: Subject, config: Config) -> int:
    words = text(config, "layer")
    kernel = re.fullmatch(r"(\S+) (\d+)x(\d+)", words)
    if kernel is not None:
        size = (int(kernel[2]), int(kernel[3]))
        rows = subject.rows(subject.layer({**config, "layer": kernel[1]}))
        return next((row.output_shape[0] for row in rows if row.kernel == size), 0)
    if words.endswith(" input"):
        return subject.layer({**config, "layer": words.removesuffix(" input")}).input_shape[0]
    return subject.layer(config).output_shape[0]


def _crop(subject: Subject, config: Config) -> list[int]:
    record = subject.layer(config)
    return [record.input_shape[-1], record.output_shape[-1]]


def _weight_layers(subject: Subject, _config: Config) -> int:
    if subject.depth == "convolutions":
        return sum(row.role == "conv" for row in subject.report.layers)
    return subject.report.weight_layers


def _receptive_field(subject: Subject, config: Config) -> int:
    if "layer" not in config:
        return subject.report.receptive_field
    return subject.layer(config).receptive_field


def _neurons(subject: Subject, config: Config) -> int:
    if "layer" in config:
        return math.prod(subject.layer(config).output_shape)
    rows = subject.report.layers
    return sum(math.prod(row.output_shape) for row in rows if row.role in ("conv", "linear"))


def _activation_bytes(subject: Subject, config: Config) -> int:
    if "count" not in config:
        values = subject.report.activation_bytes // 4
    else:
        words = text(config, "count")
        values = count_values(subject.report.layers, subject.input_shape, words)
    return values * _bytes(config) * (whole(config, "batch") or 1)


def _bytes(config: Config) -> int:
    kind = config.get("dtype", "float32")
    if not isinstance(kind, str) or kind not in _BYTES:
        raise NotDerivable(f"the size of a {kind} is not known")
    return _BYTES[kind]


def _block_params(subject: Subject, config: Config) -> int:
    """Parameters of the first block on equal widths that is built as the words say."""
    widths, groups = _block_shape(text(config, "block"))
    for record in subject.report.containers.values():
        rows = subject.rows(record)
        convs = [row for row in rows if row.role == "conv"]
        if _is_block(convs, widths, groups):
            return count_params(rows, config)
    raise NotDerivable(f"{subject.name} has no block {config['block']!r}")


def _block_shape(words: str) -> tuple[list[int], int]:
    """Read "bottleneck 256-64-64-256" or "32 x 4d" (32 groups of 4 maps in a 256-d block)."""
    match = re.fullmatch(r"(?:\w+ )?(\d+(?:-\d+)+)", words)
    if match is not None:
        return [int(width) for width in match[1].split("-")], 1
    match = re.fullmatch(r"(\d+) ?x ?(\d+)d", words)
    if match is None:
        raise NotDerivable(f"the block {words!r} is not understood")
    groups, width = int(match[1]), int(match[1]) * int(match[2])
    return [256, width, width, 256], groups


def _is_block(convs: Sequence[LayerRecord], widths: Sequence[int], groups: int) -> bool:
    if len(convs) != len(widths) - 1 or convs[0].input_shape[0] != widths[0]:
        return False
    outs = [conv.output_shape[0] for conv in convs]
    return outs == list(widths[1:]) and max(conv.groups for conv in convs) == groups


_COUNTED = frozenset({"part", "bn", "bias"})
_LAYER = frozenset({"layer"})

QUANTITIES: dict[str, Quantity] = {
    "params": Quantity(_params, _COUNTED),
    "conv_params": Quantity(lambda s, c: _params(s, {**c, "part": "conv"}), _COUNTED),
    "fc_params": Quantity(lambda s, c: _params(s, {**c, "part": "fc"}), _COUNTED),
    "layer_params": Quantity(
        lambda s, c: count_params(layer_rows(s, c), c), _LAYER | {"bn", "bias"}
    ),
    "block_params": Quantity(_block_params, frozenset({"block", "bn", "bias"})),
    "params_share": Quantity(_params_share, _COUNTED),
    "macs": Quantity(_macs, frozenset({"part"})),
    "layer_macs": Quantity(lambda s, c: sum(row.macs for row in layer_rows(s, c)), _LAYER),
    "macs_share": Quantity(_macs_share, frozenset({"part"})),
    "flops": Quantity(lambda s, c: 2 * _macs(s, c), frozenset({"part"})),
    "output_shape": Quantity(lambda s, c: list(s.layer(c).output_shape), _LAYER),
    "kernel_shape": Quantity(_kernel_shape, _LAYER),
    "channels": Quantity(_channels, _LAYER),
    "crop": Quantity(_crop, _LAYER),
    "weight_layers": Quantity(_weight_layers),
    "layer_count": Quantity(lambda s, c: count_layers(s, text(c, "count")), frozenset({"count"})),
    "receptive_field": Quantity(_receptive_field, _LAYER),
    "neurons": Quantity(_neurons, _LAYER),
    "connections": Quantity(lambda s, _c: count_connections(s.report.layers)),
    "layer_connections": Quantity(lambda s, c: count_connections(layer_rows(s, c)), _LAYER),
    "nonlinearities": Quantity(
        lambda s, _c: sum(row.role == "activation" for row in s.report.layers)
    ),
    "activation_bytes": Quantity(_activation_bytes, frozenset({"count", "dtype", "batch"})),
    "model_bytes": Quantity(lambda s, c: _params(s, {}) * _bytes(c), frozenset({"dtype"})),
    "hyperparameter": Quantity(read_setting, _LAYER | {"name"}),
}
