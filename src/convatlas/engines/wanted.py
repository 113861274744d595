"""What the rewriting of a graph asks for, of those who compute layers."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Before:
    """Filters that look at one map each, before a 1x1 convolution that alone reads them.

    Attributes:
        conv: A depthwise convolution; a norm is one of 1x1.
        act: What follows it, or None.
    """

    conv: nn.Conv2d
    act: nn.Module | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A convolution or linear layer, with the weights that it has after folding.

    Attributes:
        layer: Its tensors are of the type that is computed in.
        size: Of its input; where there are filters before it, of theirs.
        act: The activation after it, or None.
        residual: Whether maps are added before the activation.
        before: What is computed with it.
    """

    layer: nn.Conv2d | nn.Linear
    size: torch.Size
    act: nn.Module | None
    residual: bool = False
    before: Before | None = None


# Gives a module that is called with (x) or (x, other), channels last; None: oneDNN does it.
Factory = Callable[[Wanted], nn.Module | None]


def no_layer(wanted: Wanted) -> nn.Module | None:  # noqa: ARG001
    """Leave every layer to oneDNN."""
    return None
