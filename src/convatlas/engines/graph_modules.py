"""Layers as modules, from the operations of a graph and the tensors that they are given."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from convatlas.engines.graph_trace import arguments, constant, is_constant

aten = torch.ops.aten
NORM = aten.batch_norm.default
ACTIVATIONS: dict[Any, Callable[..., nn.Module]] = {
    aten.relu.default: lambda _: nn.ReLU(),
    aten.relu6.default: lambda _: nn.ReLU6(),
    aten.hardtanh.default: lambda _, low=-1.0, high=1.0: _clamp(low, high),
    aten.leaky_relu.default: lambda _, slope=0.01: nn.LeakyReLU(slope),
    aten.silu.default: lambda _: nn.SiLU(),
    aten.sigmoid.default: lambda _: nn.Sigmoid(),
    aten.tanh.default: lambda _: nn.Tanh(),
    aten.hardswish.default: lambda _: nn.Hardswish(),
    aten.hardsigmoid.default: lambda _: nn.Hardsigmoid(),
}


def _clamp(low: float, high: float) -> nn.Module:
    return nn.ReLU6() if (low, high) == (0, 6) else nn.Hardtanh(low, high)


def norm_of(module: nn.Module, node: fx.Node | None, given: Any) -> tuple[Any, ...] | None:
    """Give gain, offset, mean, variance and epsilon of a batch norm by statistics that are kept."""
    if node is None or node.target is not NORM or node.args[0] is not given:
        return None
    how = arguments(node)
    tensors = [how[name] for name in ("weight", "bias", "running_mean", "running_var")]
    if how["training"] or tensors[2] is None or not all(map(is_constant, tensors)):
        return None
    return (*(constant(module, one) for one in tensors), how["eps"])


def scale_and_shift(found: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
    """Give what `norm_of` found as one multiplication and addition for each map."""
    gain, offset, mean, variance, eps = found
    scale = (variance + eps).rsqrt() * (1 if gain is None else gain)
    return scale, (0 if offset is None else offset) - mean * scale


def conv_of(
    given: dict[str, Any], weight: Tensor, bias: Tensor | None, dtype: torch.dtype
) -> nn.Conv2d:
    """Give a convolution with the settings of an operation and these tensors."""
    names = ("stride", "padding", "dilation")
    how: dict[str, Any] = {name: tuple(pair(given[name])) for name in names}
    how["groups"] = given["groups"]
    rows, columns = weight.shape[2:]
    with torch.device("meta"):
        conv = nn.Conv2d(weight.shape[1] * given["groups"], weight.shape[0], (rows, columns), **how)
    _give(conv, weight, bias, dtype)
    return conv


def transpose_of(
    given: dict[str, Any], weight: Tensor, bias: Tensor | None, dtype: torch.dtype
) -> nn.ConvTranspose2d:
    """Give a transposed convolution with the settings of an operation and these tensors."""
    names = ("stride", "padding", "output_padding", "dilation")
    how: dict[str, Any] = {name: tuple(pair(given[name])) for name in names}
    how["groups"] = given["groups"]
    rows, columns = weight.shape[2:]
    with torch.device("meta"):
        conv = nn.ConvTranspose2d(
            weight.shape[0], weight.shape[1] * given["groups"], (rows, columns), **how
        )
    _give(conv, weight, bias, dtype)
    return conv


def linear_of(weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> nn.Linear:
    """Give a linear layer with these tensors."""
    with torch.device("meta"):
        linear = nn.Linear(weight.shape[1], weight.shape[0])
    _give(linear, weight, bias, dtype)
    return linear


def _give(layer: nn.Module, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
    """Give a layer its tensors, in the type to compute in."""
    for name, value in (("weight", weight), ("bias", bias)):
        given = None if value is None else nn.Parameter(value.to(dtype, copy=True), False)
        setattr(layer, name, given)


def pair(values: list[int]) -> list[int]:
    """Give two numbers where an operation was given one for both axes; or none."""
    return [*values] * 2 if len(values) == 1 else [*values]
