"""The networks that claims speak of: built on the meta device by name and by a claim's config."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

from torch import nn

from convatlas import catalog
from convatlas.analysis.block_studies import STUDIES
from convatlas.analysis.finding import find_layer
from convatlas.analysis.meta import build_on_meta
from convatlas.analysis.record import LayerRecord
from convatlas.analysis.report import Report
from convatlas.analysis.spellings import is_known
from convatlas.analysis.trace import trace
from convatlas.errors import UnknownNameError, UserError

BUILD_KEYS = frozenset({"num_classes", "in_channels", "input_size", "input"})

# what a config may ask for that another named network is: (key, value) -> its name
SIBLINGS = {
    ("groups", 1): "{}_ungrouped",
    ("per", "tower"): "{}_towers",
    ("bypass", "simple"): "{}_bypass",
    ("bypass", "complex"): "{}_complex_bypass",
}
_AS_PRINTED = ("paper", "paper figures")  # what `variant` may say; a deviation is not


class NotDerivable(Exception):  # noqa: N818 - no error: a verdict on the claim
    """A claim that can't be recomputed; the message is the reason."""


@dataclass(frozen=True)
class Subject:
    """A network that a claim is about.

    Attributes:
        name: In the catalog, or of a block study.
        model: On the meta device.
        input_shape: Of one image.
        layer_names: As in `Architecture.layer_names`.
        depth: As in `Variant.depth`.
    """

    name: str
    model: nn.Module
    input_shape: tuple[int, ...]
    layer_names: Mapping[str, str]
    depth: str = "path"

    @cached_property
    def report(self) -> Report:
        """The trace of the network, made when it is first asked for."""
        return Report(self.name, trace(self.model, self.input_shape), self.model)

    @cached_property
    def side_report(self) -> Report | None:
        """The trace of the network with its side classifiers; None: it has none."""
        made = getattr(self.model, "created_as", None)
        if made is None or not hasattr(self.model, "forward_with_sides"):
            return None
        sizes = {key: made[key] for key in ("num_classes", "in_channels")}
        model = build_on_meta(made["name"], **sizes, **made["overrides"] | {"sides": True})
        run = trace(model, self.input_shape, "forward_with_sides")
        return Report(self.name, run, model)

    def layer(self, config: Mapping[str, Any]) -> LayerRecord:
        """Give the layer that `config` names, of one tower if it says so."""
        name = text(config, "layer")
        if name == "input":
            return LayerRecord("input", "input", "other", self.input_shape, self.input_shape)
        if "per" in config:
            return self._in_part(name, str(config["per"]))
        try:
            return find_layer(self.report, name, self.layer_names)
        except UnknownNameError:
            if self.side_report is None:
                raise
            return find_layer(self.side_report, name, self.layer_names)

    def _in_part(self, name: str, part: str) -> LayerRecord:
        pattern = rf"(.*\.)?{re.escape(part)}\d*\.(.*\.)?{re.escape(name)}"
        records = [*self.report.layers, *self.report.containers.values()]
        found = [record for record in records if re.fullmatch(pattern, record.name)]
        if not found:
            raise NotDerivable(f"{self.name} has no {name} per {part}")
        return min(found, key=lambda record: record.name.count("."))

    def rows(self, record: LayerRecord) -> list[LayerRecord]:
        """List the layers inside a container, or the layer itself."""
        reports = (self.report, self.side_report)
        layers = [row for report in reports if report is not None for row in report.layers]
        inside = {
            row.name: row
            for row in layers
            if row.name == record.name or row.name.startswith(f"{record.name}.")
        }
        return list(inside.values())


class Subjects:
    """Builds networks, and keeps what it has built."""

    def __init__(self) -> None:
        self._kept: dict[str, Subject] = {}

    def get(self, name: str, config: Mapping[str, Any]) -> Subject:
        """Give the network of a name, changed as `config` says.

        Args:
            name: Of the catalog or of a block study; "~" before it is ignored.
            config: Keys of BUILD_KEYS, fields of the variant's spec, keys of SIBLINGS, or
                `variant`: what follows the name in that of a sibling.

        Raises:
            NotDerivable: There is no such network; the message says why.
        """
        name = name.removeprefix("~")
        if "+" in name:
            raise NotDerivable("an ensemble of networks")
        if name not in STUDIES and not is_known(name):
            raise NotDerivable(f"{name} is not in the catalog")
        try:
            plan = _Plan(name, config) if name in STUDIES else _plan(name, config)
            key = repr(plan)
            if key not in self._kept:
                self._kept[key] = _build(plan)
        except UserError as error:
            raise NotDerivable(str(error)) from error
        return self._kept[key]


@dataclass(frozen=True)
class _Plan:
    """What a network is built from; equal networks have equal plans."""

    name: str
    changes: Mapping[str, Any]  # of the variant's spec; of a block study its config
    num_classes: int = 0
    input_shape: tuple[int, ...] = ()


def _plan(name: str, config: Mapping[str, Any]) -> _Plan:
    changes = {}
    for key, value in config.items():
        if key in BUILD_KEYS:
            continue
        _, variant = catalog.find(name)
        if key == "convs_per_block":
            changes |= _regrouped(variant.spec, whole(config, key))
        elif not _fits(variant.spec, key, value):
            name = _sibling(name, key, value)
        elif getattr(variant.spec, key) != value:
            changes[key] = tuple(value) if isinstance(value, list) else value
    _, variant = catalog.find(name)
    classes = whole(config, "num_classes") or variant.num_classes
    channels = whole(config, "in_channels") or variant.input_shape[0]
    shape = _input_shape(config, (channels, *variant.input_shape[1:]))
    return _Plan(name, changes, classes, shape)


def _build(plan: _Plan) -> Subject:
    if plan.name in STUDIES:
        study = STUDIES[plan.name]
        model, input_shape = study.build(plan.changes)
        return Subject(plan.name, model, input_shape, study.layer_names)
    architecture, variant = catalog.find(plan.name)
    sizes = {"num_classes": plan.num_classes, "in_channels": plan.input_shape[0]}
    model = build_on_meta(plan.name, **sizes, **plan.changes)
    return Subject(plan.name, model, plan.input_shape, architecture.layer_names, variant.depth)


def _regrouped(spec: Any, convs: int | None) -> dict[str, Any]:
    """Change the convolutions in each block, and so the blocks: a group keeps all it has.

    As in Table 3 of Zagoruyko & Komodakis 2016, which compares networks of equal depth.
    """
    block, blocks = (getattr(spec, key, None) for key in ("block", "blocks_per_group"))
    if not isinstance(block, tuple) or type(blocks) is not int or len(set(block)) != 1:
        raise NotDerivable("the network has no groups of equal blocks")
    if not convs or len(block) * blocks % convs:
        total = len(block) * blocks
        raise NotDerivable(f"{total} convolutions make no blocks of {convs}")
    return {"block": block[:1] * convs, "blocks_per_group": len(block) * blocks // convs}


def _fits(spec: Any, key: str, value: Any) -> bool:
    """Tell whether a spec has a field of that name which holds such values."""
    if not is_dataclass(spec) or key not in [field.name for field in fields(spec)]:
        return False
    old = getattr(spec, key)
    if old is None or value is None:
        return isinstance(value, (str, int, float)) or value is None
    if isinstance(old, (list, tuple)):
        return isinstance(value, list)
    if isinstance(old, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(old)


def _sibling(name: str, key: str, value: Any) -> str:
    """Give the name of the network that differs from `name` as the config says."""
    template = SIBLINGS.get((key, value)) if isinstance(value, (str, int)) else None
    if key == "variant" and isinstance(value, str):
        if value in _AS_PRINTED:
            return name if not catalog.find(name)[1].deviation else f"{name}_paper"
        template = "{}_" + re.sub(r"\W+", "_", value).strip("_")
    if template is None:
        raise NotDerivable(f"nothing in {name} is {key}: {value}")
    if not is_known(template.format(name)):
        raise NotDerivable(f"there is no {name} with {key}: {value}")
    return template.format(name)


def _input_shape(config: Mapping[str, Any], native: tuple[int, ...]) -> tuple[int, ...]:
    size, given = config.get("input_size"), config.get("input", list(native))
    if size is not None:
        given = [native[0], *(size if isinstance(size, list) else [size, size])]
    sizes = given if isinstance(given, list) else []
    if len(sizes) != len(native) or not all(type(n) is int and n > 0 for n in sizes):
        raise NotDerivable(f"the input {given!r} is no size")
    return tuple(sizes)


def text(config: Mapping[str, Any], key: str) -> str:
    """Give a text of a claim's config.

    Raises:
        NotDerivable: It is missing, or no text.
    """
    value = config.get(key)
    if not isinstance(value, str):
        raise NotDerivable(f"config.{key} must be text, not {value!r}")
    return value


def whole(config: Mapping[str, Any], key: str) -> int | None:
    """Give a whole number of a claim's config, or None where there is none.

    Raises:
        NotDerivable: It is something else.
    """
    value = config.get(key)
    if value is not None and type(value) is not int:
        raise NotDerivable(f"config.{key} must be a whole number, not {value!r}")
    return value
