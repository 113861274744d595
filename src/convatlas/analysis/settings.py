"""Settings that papers print and that can be read off a network: `hyperparameter` claims."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from convatlas import catalog
from convatlas.analysis.counts import weight_row
from convatlas.analysis.subjects import NotDerivable, Subject, text
from convatlas.analysis.trace import trace

_ATTRIBUTES = ("groups", "kernel_size", "stride", "padding", "dilation", "in_channels")
_PLACES = {"k": (3, 0), "l": (3, 1), "m": (3, 2), "n": (1, 0)}  # convolutions of a branch, which


def read_setting(subject: Subject, config: Mapping[str, Any]) -> Any:
    """Read the setting `config.name`.

    It is an attribute of `config.layer`; or the number of maps "Reduction-A k"; or "positions
    averaged on a 7x7 map"; or a number of the network's spec, such as "growth rate".

    Raises:
        NotDerivable: The network does not tell it.
    """
    name = text(config, "name")
    if name in _ATTRIBUTES and "layer" in config:
        value = getattr(subject.model.get_submodule(weight_row(subject, config).name), name)
        square = isinstance(value, tuple) and len(set(value)) == 1
        return value[0] if square else list(value) if isinstance(value, tuple) else value
    for pattern, read in _SETTINGS.items():
        match = re.fullmatch(pattern, name)
        if match is not None:
            return read(subject, *match.groups())
    value = _of_spec(subject, name.replace(" ", "_"))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NotDerivable(f"{name!r} is no setting of the network or its layers")
    return value


def _of_spec(subject: Subject, name: str) -> Any:
    made = getattr(subject.model, "created_as", None)
    if made is None:
        return None
    return made["overrides"].get(name, getattr(catalog.find(made["name"])[1].spec, name, None))


def _reduction(subject: Subject, letter: str) -> int:
    """Give the maps of a convolution of Reduction-A (Szegedy et al. 2016, Figure 7 and Table 1).

    k, l and m are those of the branch of three, n is the one beside it.
    """
    length, place = _PLACES[letter]
    reduction = subject.layer({"layer": "reduction_a"})
    branches: dict[str, list[int]] = {}
    for row in subject.rows(reduction):
        branch = row.name.removeprefix(f"{reduction.name}.").split(".")[0]
        if row.role == "conv":
            branches.setdefault(branch, []).append(row.output_shape[0])
    found = [maps[place] for maps in branches.values() if len(maps) == length]
    if len(found) != 1:
        raise NotDerivable(f"{reduction.name} has {len(found)} branches of {length} convolutions")
    return found[0]


def _positions(subject: Subject, height: str, width: str) -> int:
    """Count the places that each value of a global average is the mean of."""
    modules = subject.model.modules()
    average = next((m for m in modules if isinstance(m, nn.AdaptiveAvgPool2d)), None)
    if average is None:
        raise NotDerivable(f"{subject.name} has no global average pooling")
    (row,) = trace(average, (1, int(height), int(width))).layers
    return math.prod(row.input_shape) // math.prod(row.output_shape)


_SETTINGS: dict[str, Callable[..., int]] = {
    r"Reduction-A ([klmn])": _reduction,
    r"positions averaged on an? (\d+) ?x ?(\d+) map": _positions,
}
