"""Ratios as claims word them: "params alexnet / googlenet", "45x smaller than AlexNet"."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from convatlas.analysis.block_studies import STUDIES
from convatlas.analysis.spellings import find_network

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """What stands above or below the line.

    Attributes:
        name: A network or a block study; "" where only the printed value is known.
        config: What changes it.
        printed: Its value, where it is not of the catalog: "gpipe (557M)".
    """

    name: str
    config: Config = field(default_factory=dict)
    printed: float | None = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """A quantity of one network over that of another.

    Attributes:
        quantity: As in a claim.
        above: The numerator.
        below: The denominator.
        readings: How the words may be meant, the plain one first: each a part of a claim's
            config.
    """

    quantity: str
    above: Side
    below: Side
    readings: tuple[Config, ...] = ({},)


# words -> quantity, and the ways that papers count it in when they compare
_METRICS: dict[str, tuple[str, tuple[Config, ...]]] = {
    r"params|parameters|weights": ("params", ({}, {"bn": False})),
    r"macs|mult(?:iply)?-adds": ("macs", ({},)),
    r"comput(?:e|ations?)(?: intensive)?": ("macs", ({}, {"part": "conv"})),
    r"flops": ("flops", ({},)),
    r"(?:weight )?layers|depth": ("weight_layers", ({},)),
    r"model (?:bytes|size)": ("model_bytes", ({},)),
    r"activation bytes": ("activation_bytes", ({},)),
}
_LESS = {  # an adjective -> the metric that it means on its own
    **dict.fromkeys(("less", "fewer", "lower"), ""),
    "smaller": "params",
    "shallower": "depth",
    "cheaper": "compute",
}
_MORE = {
    **dict.fromkeys(("more", "higher", "greater"), ""),
    **dict.fromkeys(("larger", "bigger"), "params"),
    "deeper": "depth",
}
_METRIC = "|".join(_METRICS)
_QUOTIENT = re.compile(rf"(?P<metric>{_METRIC})(?: (?P<above>.+?))? / (?:(?P=metric) ?)?(.*)")
_STEPS = re.compile(rf"(?P<above>.+?) / (?P<below>.+?) (?P<metric>{_METRIC})")
_SENTENCE = re.compile(
    r"(?:.* )?(?:\d+(?:\.\d+)? ?(?:x|\u00d7|times)|x ?\d+(?:\.\d+)?) "
    rf"(?P<adjective>{'|'.join(_LESS | _MORE)})(?: (?:number of )?(?P<metric>{_METRIC}))? "
    r"than (?P<other>[^()]+?)(?: \((?P<inside>[^()]+)\))?"
)
_UNITS = {"K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "Bn": 1e9, "KB": 1e3, "MB": 1e6, "GB": 1e9}
_UNIT = "|".join(_UNITS)
_PRINTED = re.compile(rf".* \((\d+(?:\.\d+)?) ?({_UNIT})\)")
_OF_PRINTS = re.compile(rf"(?:{_METRIC})|.* of (?:Table|Fig(?:\.|ure)) ?\d+")
_NUMBER = rf"(\d+(?:\.\d+)?)(?: ?({_UNIT}))?"
_QUOTIENT_OF_PRINTS = re.compile(rf"{_NUMBER} / {_NUMBER}(?: .*)?")


def read_ratio(words: str, own: str) -> Ratio | None:
    """Read which quantity of which networks is compared.

    Args:
        words: "params alexnet / googlenet"; "macs / resnet18", of the network that the claim is
            about; "depth resnet1001 / wrn28"; "params gpipe (557M) / efficientnet_b7", with a
            printed value; "27 times less compute than VGG16" and "45x smaller than AlexNet (0.50
            MobileNet-160)", in which the number is what is claimed; "separable / standard
            multiply-adds" of a block study with steps.
        own: What the claim is about.

    Returns:
        None: The words are no such ratio.

    Raises:
        UnknownNameError: A name that no network has.
    """
    match = _QUOTIENT.fullmatch(words)
    if match is not None:
        quantity, readings = _metric(match["metric"])
        above, below = (_side(side, own) for side in (match["above"], match[3]))
        return Ratio(quantity, above, below, readings)
    match = _STEPS.fullmatch(words)
    if match is not None and own in STUDIES:
        quantity, readings = _metric(match["metric"])
        above, below = (Side(own, {"step": match[side]}) for side in ("above", "below"))
        return Ratio(quantity, above, below, readings)
    match = _SENTENCE.fullmatch(words)
    return None if match is None else _comparison(match, own)


def printed_ratio(words: str, reference: str) -> float | None:
    """Work out a ratio of values that a paper prints, such as "ops of Table 3".

    Args:
        words: What is compared, with no network named.
        reference: How the ledger found the ratio: "3.8 / 1.5 Bn ops of Table 3". A unit stands
            for both values, or each has its own.

    Returns:
        None: It is no such ratio, or the two values are not given.
    """
    match = _QUOTIENT_OF_PRINTS.fullmatch(reference) if _OF_PRINTS.fullmatch(words) else None
    if match is None or float(match[3]) == 0:
        return None
    units = (match[2] or match[4], match[4] or match[2])
    above, below = (_UNITS[unit] if unit else 1.0 for unit in units)
    return float(match[1]) * above / (float(match[3]) * below)


def _metric(words: str) -> tuple[str, tuple[Config, ...]]:
    return next(found for pattern, found in _METRICS.items() if re.fullmatch(pattern, words))


def _side(words: str | None, own: str) -> Side:
    if not words:
        return Side(own)
    printed = _PRINTED.fullmatch(words)
    if printed is not None:
        return Side("", printed=float(printed[1]) * _UNITS[printed[2]])
    return Side(*find_network(words, own))


def _comparison(match: re.Match[str], own: str) -> Ratio | None:
    """Read "27 times less compute than VGG16"; in brackets: the network itself, or a value."""
    adjective, inside = match["adjective"], match["inside"]
    metric = match["metric"] or (_LESS | _MORE)[adjective]
    if not metric:
        return None
    quantity, readings = _metric(metric)
    words = match["other"] if inside is None else f"{match['other']} ({inside})"
    if _PRINTED.fullmatch(words):
        other, itself = _side(words, own), Side(own)
    else:
        other, itself = _side(match["other"], own), _side(inside, own)
    above, below = (other, itself) if adjective in _LESS else (itself, other)
    return Ratio(quantity, above, below, readings)
