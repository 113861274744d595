"""Copy stored tensors into a network, or say what doesn't fit."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.catalog import build_meta
from convatlas.errors import FileError


class WeightsWarning(UserWarning):
    """Weights are used that a user may not expect: a fresh last layer, values not finite."""


def fill(
    model: nn.Module, tensors: Mapping[str, Tensor], source: str, last_layers: Sequence[str] = ()
) -> list[str]:
    """Copy `tensors` into a network, converted to its floating-point type.

    Args:
        model: What to fill.
        tensors: Values by the names of `model.state_dict()`.
        source: Where they come from, for messages.
        last_layers: Names that keep their fresh values where the shapes differ.

    Returns:
        What a user should hear of, a sentence each; empty: nothing.

    Raises:
        FileError: A tensor is missing, unexpected, or of another shape or kind.
    """
    expected = model.state_dict()
    fresh = [
        name
        for name in last_layers
        if name in tensors and tensors[name].shape != expected[name].shape
    ]
    used = {name: tensor for name, tensor in tensors.items() if name not in fresh}
    wanted = {name: tensor for name, tensor in expected.items() if name not in fresh}
    misfit = explain_misfit(wanted, used)
    if misfit:
        raise FileError(f"{source} doesn't fit {type(model).__name__}: {misfit}")
    model.load_state_dict(used, strict=False)
    remarks = []
    if fresh:
        remarks.append(f"{first(fresh)} start afresh: {source} has another number of classes")
    broken = [name for name, tensor in used.items() if not _finite(tensor)]
    if broken:
        remarks.append(f"{source} holds values that are not finite: {first(broken)}")
    return remarks


def axes_of_sizes(net: nn.Module) -> dict[str, dict[str, int]]:
    """Find the tensors whose shape follows the number of classes or of input channels.

    Args:
        net: A network that the catalog has built, on any device.

    Returns:
        For `num_classes` and `in_channels`: the names of tensors, and the axis that follows.
    """
    made: dict[str, Any] = getattr(net, "created_as", {})
    sizes = {name: made[name] + 1 for name in ("num_classes", "in_channels")}
    other = build_meta(made["name"], **sizes, **made["overrides"]).state_dict()
    axes: dict[str, dict[str, int]] = {name: {} for name in sizes}
    for key, tensor in net.state_dict().items():
        # weights are (out, in, ...): classes come out of a layer, channels go into one
        for axis, name in enumerate(sizes):
            if tensor.dim() > axis and tensor.shape[axis] != other[key].shape[axis]:
                axes[name][key] = axis
    return axes


def with_channels(weight: Tensor, channels: int) -> Tensor:
    """Make the weight of a first convolution take another number of input channels.

    One channel: the sum over the old ones, which answers to grey as the old weight does to grey
    in every channel. More: the old ones over and over, scaled so that equal channels give the
    same as before.

    Args:
        weight: (out, in, height, width).
        channels: How many it is to take.
    """
    old = weight.shape[1]
    if channels == 1:
        return weight.sum(1, keepdim=True)
    times = -(-channels // old)
    return weight.repeat(1, times, 1, 1)[:, :channels] * (old / channels)


def explain_misfit(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Say what keeps `given` from standing for `expected`; empty when nothing does."""
    both = [name for name in expected if name in given]
    found = {
        "missing": [name for name in expected if name not in given],
        "unexpected": [name for name in given if name not in expected],
        "another shape": [
            f"{name} {tuple(given[name].shape)} for {tuple(expected[name].shape)}"
            for name in both
            if given[name].shape != expected[name].shape
        ],
        "another type": [
            f"{name} {given[name].dtype} for {expected[name].dtype}"
            for name in both
            if given[name].is_floating_point() != expected[name].is_floating_point()
        ],
    }
    return "; ".join(f"{kind}: {first(names)}" for kind, names in found.items() if names)


def first(names: Sequence[str], count: int = 3) -> str:
    """List the first few names and say how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
