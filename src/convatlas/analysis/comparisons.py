"""Recomputing a quantity of a network, and what compares networks: ratios and orderings."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from convatlas import catalog
from convatlas.analysis.block_studies import STUDIES
from convatlas.analysis.expressions import evaluate
from convatlas.analysis.quantities import QUANTITIES
from convatlas.analysis.ratios import Ratio, Side, printed_ratio, read_ratio
from convatlas.analysis.spellings import is_known
from convatlas.analysis.subjects import BUILD_KEYS, NotDerivable, Subjects, text
from convatlas.errors import UserError

Config = Mapping[str, Any]

_NOTES = ("year",)  # keys of a config that change nothing


def measure(name: str, quantity: str, config: Config, subjects: Subjects) -> Any:
    """Recompute a quantity of a network.

    Args:
        name: Of the network, as in a claim.
        quantity: As in a claim; no ratio.
        config: As in a claim; `difference_to` names a network whose value is subtracted.
        subjects: Where networks are kept.

    Raises:
        NotDerivable: It can't be recomputed; the message is the reason.
    """
    if quantity not in QUANTITIES:
        raise NotDerivable(f"no rule recomputes {quantity}")
    try:
        return _measure(name, quantity, config, subjects)
    except UserError as error:
        raise NotDerivable(str(error)) from error


def order(names: Any, config: Config, subjects: Subjects) -> list[str]:
    """Sort networks by the quantity `config.metric`, smallest first.

    Raises:
        NotDerivable: The metric can't be recomputed, or `names` is no list of networks.
    """
    metric = text(config, "metric").replace(" ", "_")
    if not isinstance(names, Sequence) or isinstance(names, str):
        raise NotDerivable(f"the order {names!r} is no list of networks")
    rest = {key: value for key, value in config.items() if key != "metric"}
    values = {str(name): measure(str(name), metric, rest, subjects) for name in names}
    return sorted(values, key=lambda name: values[name])


def ratios(name: str, config: Config, reference: str, subjects: Subjects) -> Iterator[float]:
    """Recompute the ratio `config.of`: give the values that its words can mean, plainest first.

    Args:
        name: Of the network, as in a claim.
        config: As in a claim.
        reference: How the ledger found the ratio, which tells the values of "ops of Table 3".
        subjects: Where networks are kept.

    Raises:
        NotDerivable: It can't be recomputed; the message is the reason.
    """
    of = text(config, "of")
    rest = {key: value for key, value in config.items() if key != "of"}
    try:
        if of == "activation memory training / forward":
            kept = measure(name, "activation_bytes", rest, subjects)
            gradients = kept  # backpropagation keeps one gradient for each activation
            yield (kept + gradients) / kept
            return
        ratio = read_ratio(of, name.removeprefix("~"))
        if ratio is not None:
            yield from _measured(ratio, rest, subjects)
            return
        printed = printed_ratio(of, reference)
        yield float(evaluate(of, _letters(rest))) if printed is None else printed
    except UserError as error:
        raise NotDerivable(str(error)) from error


def _measure(name: str, quantity: str, config: Config, subjects: Subjects) -> Any:
    rule = QUANTITIES[quantity]
    config = {key: value for key, value in config.items() if key not in _NOTES}
    other = config.pop("difference_to", None)
    study = STUDIES.get(name.removeprefix("~"))
    keys = rule.keys if study is None else rule.keys - study.keys
    subject = subjects.get(name, {key: config[key] for key in config if key not in keys})
    if study is not None and quantity in study.measures:
        return study.measures[quantity](subject.report, config)
    value = rule.compute(subject, config)
    if other is None:
        return value
    alike = {key: config[key] for key in (*BUILD_KEYS, *rule.keys) if key in config}
    return value - _measure(str(other), quantity, alike, subjects)


def _measured(ratio: Ratio, config: Config, subjects: Subjects) -> Iterator[float]:
    """Divide what is measured, for each image and each way to count that can be meant."""
    reason = NotDerivable("nothing to divide by")
    found = False
    for reading in ratio.readings:
        for image in _images(ratio, config):
            try:
                above, below = (
                    _value(side, ratio.quantity, {**image, **reading}, subjects)
                    for side in (ratio.above, ratio.below)
                )
            except NotDerivable as error:
                reason = error
                continue
            if below:
                found = True
                yield above / below
    if not found:
        raise reason


def _images(ratio: Ratio, config: Config) -> list[Config]:
    """Say on which image networks are compared: on the one of their papers, or on their own.

    ImageNet papers print 224x224; some of their networks run on 227x227 by default.
    """
    sized = ratio.quantity in ("macs", "flops", "activation_bytes")
    if not sized or "input_size" in config or "input" in config:
        return [config]
    names = [side.name for side in (ratio.above, ratio.below) if is_known(side.name)]
    natives = {catalog.find(name)[1].input_shape[1:] for name in names}
    on_print = [{**config, "input_size": 224}] if natives <= {(224, 224), (227, 227)} else []
    return [*on_print, config]


def _value(side: Side, quantity: str, config: Config, subjects: Subjects) -> float:
    if side.printed is not None:
        return side.printed
    return measure(side.name, quantity, {**config, **side.config}, subjects)


def _letters(config: Config) -> dict[str, float]:
    """Give the numbers of a config, for an expression that calls them by name."""
    numbers = {k: v for k, v in config.items() if type(v) in (int, float)}
    return {key: value for key, value in numbers.items() if math.isfinite(value)}
