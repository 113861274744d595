"""Recomputing what compares networks: ratios, orderings, differences."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from convatlas import catalog
from convatlas.analysis.block_studies import STUDIES
from convatlas.analysis.expressions import evaluate
from convatlas.analysis.quantities import QUANTITIES
from convatlas.analysis.subjects import BUILD_KEYS, NotDerivable, Subjects, is_known, text
from convatlas.errors import UserError

Config = Mapping[str, Any]

_NOTES = ("year",)  # keys of a config that change nothing
_METRICS = ("params", "macs", "flops", "weight layers", "model bytes", "activation bytes")
_RATIO = re.compile(rf"({'|'.join(_METRICS)})(?: (.+?))? / (?:\1 ?)?(.*)")
_PRINTED = re.compile(r".* \((\d+(?:\.\d+)?)([KMG])\)")  # "gpipe (557M)": not of the catalog
_UNITS = {"K": 1e3, "M": 1e6, "G": 1e9}


def measure(name: str, quantity: str, config: Config, subjects: Subjects) -> Any:
    """Recompute a quantity of a network.

    Args:
        name: Of the network, as in a claim.
        quantity: As in a claim.
        config: As in a claim; `difference_to` names a network whose value is subtracted.
        subjects: Where networks are kept.

    Raises:
        NotDerivable: It can't be recomputed; the message is the reason.
    """
    try:
        if quantity == "cost_ratio":
            return _ratio(name, config, subjects)
        if quantity not in QUANTITIES:
            raise NotDerivable(f"no rule recomputes {quantity}")
        return _measure_one(name, quantity, config, subjects)
    except UserError as error:
        raise NotDerivable(str(error)) from error


def order(names: Any, config: Config, subjects: Subjects) -> list[str]:
    """Sort networks by the quantity `config.metric`, smallest first.

    Raises:
        NotDerivable: The metric can't be recomputed, or `names` is no list of networks.
    """
    metric = text(config, "metric")
    if not isinstance(names, Sequence) or isinstance(names, str):
        raise NotDerivable(f"the order {names!r} is no list of networks")
    rest = {key: value for key, value in config.items() if key != "metric"}
    values = {str(name): measure(str(name), metric, rest, subjects) for name in names}
    return sorted(values, key=lambda name: values[name])


def _measure_one(name: str, quantity: str, config: Config, subjects: Subjects) -> Any:
    rule = QUANTITIES[quantity]
    config = {key: value for key, value in config.items() if key not in _NOTES}
    other = config.pop("difference_to", None)
    changes = config if name in STUDIES else {k: v for k, v in config.items() if k not in rule.keys}
    value = rule.compute(subjects.get(name, changes), config)
    if other is None:
        return value
    alike = {key: config[key] for key in (*BUILD_KEYS, *rule.keys) if key in config}
    return value - _measure_one(str(other), quantity, alike, subjects)


def _ratio(name: str, config: Config, subjects: Subjects) -> float:
    of = text(config, "of")
    rest = {key: value for key, value in config.items() if key != "of"}
    if of == "activation memory training / forward":
        kept = measure(name, "activation_bytes", rest, subjects)
        gradients = kept  # backpropagation keeps one gradient for each activation
        return (kept + gradients) / kept
    match = _RATIO.fullmatch(of)
    if match is None:
        return float(evaluate(of))
    reason = NotDerivable(f"{of!r} is not understood")
    quantity = match[1].replace(" ", "_")
    sides = [side or name for side in (match[2], match[3])]
    for image in _images(sides, quantity, rest):
        try:
            above, below = (_side(side, quantity, image, subjects) for side in sides)
            return above / below
        except NotDerivable as error:
            reason = error
    raise reason


def _images(names: Sequence[str], quantity: str, config: Config) -> list[Config]:
    """Say on which image networks are compared: on their own, or on the one of a paper.

    ImageNet papers print 224x224; some of their networks run on 227x227 by default.
    """
    sized = quantity in ("macs", "flops", "activation_bytes")
    if not sized or "input_size" in config or "input" in config:
        return [config]
    known = [name.removeprefix("~") for name in names if is_known(name.removeprefix("~"))]
    natives = {catalog.find(name)[1].input_shape[1:] for name in known}
    on_print = [{**config, "input_size": 224}] if natives <= {(224, 224), (227, 227)} else []
    return [*on_print, config]


def _side(name: str, quantity: str, config: Config, subjects: Subjects) -> float:
    printed = _PRINTED.fullmatch(name)
    if printed is not None:
        return float(printed[1]) * _UNITS[printed[2]]
    return measure(name, quantity, config, subjects)
