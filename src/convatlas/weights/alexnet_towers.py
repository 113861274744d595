"""The paper's AlexNet in its three forms: two towers, two groups, and groups filled with zeros.

All three compute the same function; only what the last can express cannot go back.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from convatlas.architectures.alexnet import PAPER
from convatlas.errors import InputError

_TOWER = re.compile(r"\.towers\.tower[12]\.")
_NAMES = {
    f"{room}.{layer}.{kind}"
    for room, layers in (("stages", tuple(PAPER)), ("head", ("fc6", "fc7", "fc8")))
    for layer in layers
    for kind in ("weight", "bias")
}


def to_groups(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a state_dict of `alexnet_towers` for `alexnet`; one of `alexnet` stays as it is.

    Raises:
        InputError: These are other weights, or those of a net without groups, whose connections
            between the two halves of the maps would be lost.
    """
    parts: dict[str, list[Tensor]] = {}
    for name in sorted(weights):  # tower1 comes before tower2
        parts.setdefault(_TOWER.sub(".", name), []).append(weights[name])
    odd = sorted(parts.keys() ^ _NAMES)
    if odd:
        kind = "unexpected" if odd[0] in parts else "missing"
        raise InputError(f"not the weights of alexnet or alexnet_towers: {odd[0]} is {kind}")
    joined = {name: torch.cat(tensors) for name, tensors in parts.items()}
    maps, seen = len(joined["stages.conv1.weight"]), joined["stages.conv2.weight"].shape[1]
    if 2 * seen != maps:
        raise InputError(
            f"these weights have no two groups (conv2 sees {seen} of {maps} maps): cutting them "
            "would lose the connections between the halves"
        )
    return joined


def to_towers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a state_dict of `alexnet` for `alexnet_towers`.

    Raises:
        InputError: As in `to_groups`.
    """
    converted: dict[str, Tensor] = {}
    for name, tensor in to_groups(weights).items():
        room, _, rest = name.partition(".")
        if rest.startswith("fc8."):
            converted[name] = tensor
        else:
            for tower, half in enumerate(tensor.chunk(2), start=1):
                converted[f"{room}.towers.tower{tower}.{rest}"] = half.clone()
    return converted


def to_ungrouped(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a state_dict of `alexnet` or `alexnet_towers` for `alexnet_ungrouped`.

    The connections between the two halves of the maps become zeros.

    Raises:
        InputError: As in `to_groups`.
    """
    converted = to_groups(weights)
    for layer in (name for name, row in PAPER.items() if row.split):
        lower, upper = converted[f"stages.{layer}.weight"].chunk(2)
        none = torch.zeros_like(lower)
        rows = torch.cat([lower, none], 1), torch.cat([none, upper], 1)
        converted[f"stages.{layer}.weight"] = torch.cat(rows)
    return converted
