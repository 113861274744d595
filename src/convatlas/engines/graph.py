"""A network as one graph of operations, rewritten: fewer passes over memory, the same function.

What happens to a layer's output before anyone else reads it is done while it is written: batch
norm becomes other weights; an activation or a residual addition becomes part of the convolution.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from convatlas.engines.eager import dtype_of
from convatlas.engines.engine import Order
from convatlas.engines.graph_join import join_once
from convatlas.engines.graph_layers import PackedLinear, PackedTranspose, ScaleShift, packed_conv
from convatlas.engines.graph_order import pool_first
from convatlas.engines.graph_trace import (
    arguments,
    constant,
    is_constant,
    only_user,
    owned,
    replace,
    shape,
    traced,
)

aten = torch.ops.aten
# Of a convolution or linear layer, the size of its input, the activation after it or None, and
# whether a tensor is added before that; gives a module called with (x) or (x, other), channels
# last; None: oneDNN's.
Factory = Callable[[nn.Conv2d | nn.Linear, torch.Size, nn.Module | None, bool], nn.Module | None]
_CONV, _TRANSPOSE = aten.conv2d.default, aten.conv_transpose2d.input
_LINEAR, _NORM, _ADD = aten.linear.default, aten.batch_norm.default, aten.add.Tensor
_ACTS: dict[Any, Callable[..., nn.Module]] = {
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


def no_layer(
    layer: nn.Conv2d | nn.Linear,  # noqa: ARG001
    size: torch.Size,  # noqa: ARG001
    act: nn.Module | None,  # noqa: ARG001
    residual: bool,  # noqa: ARG001
) -> nn.Module | None:
    """Leave every layer to oneDNN."""
    return None


def rewritten(order: Order, factory: Factory = no_layer) -> tuple[fx.GraphModule, dict[str, Any]]:
    """Trace a network for the example's shape, and rewrite what was traced.

    Args:
        order: The model stays as it is.
        factory: Gives the layer that does a convolution, from its folded weights in the type
            that is computed in.

    Returns:
        A module from images of that shape and type, channels last, to logits; and how many
        layers were packed, norms folded, activations and additions fused, and how many
        convolutions are the factory's.

    Raises:
        GraphError: The network can't be traced.
    """
    module = traced(order)
    rewriting = _Rewriting(module, dtype_of(order.precision), factory)
    with torch.no_grad():
        rewriting.facts["pooled_first"] = pool_first(module)
        for node in reversed(list(module.graph.nodes)):  # of two convolutions that are added, the
            rewriting.visit(node)  # later one takes the addition
        for node in list(module.graph.nodes):
            rewriting.visit_norm(node)
        rewriting.facts["joined_once"] = join_once(module)
        module.graph.lint()
        return owned(module, rewriting.dtype), rewriting.facts


class _Rewriting:
    """The passes over one graph."""

    def __init__(self, module: fx.GraphModule, dtype: torch.dtype, factory: Factory) -> None:
        self.module, self.dtype, self.factory = module, dtype, factory
        names = ("packed", "norms_folded", "activations_fused", "additions_fused", "by_factory")
        self.facts: dict[str, Any] = dict.fromkeys(names, 0)

    def visit(self, node: fx.Node) -> None:
        """Pack a layer together with what follows it."""
        if node.target not in (_CONV, _TRANSPOSE, _LINEAR):
            return
        given = arguments(node)
        dims = 2 if node.target is _LINEAR else 4
        weight, bias = given["weight"], given["bias"]
        if len(shape(node)) != dims or not is_constant(bias):
            return
        value = constant(self.module, weight)
        if value is None:
            return
        last, values = self._folded(node, value, constant(self.module, bias))
        if node.target is _CONV:
            self._pack_conv(node, last, _conv(given, *values, self.dtype))
            return
        last, act = self._activation(last)
        size = shape(given["input"])
        if node.target is _LINEAR:
            linear = _linear(*values, self.dtype)
            layer = self.factory(linear, size, act, False)
            self._count(layer)
            layer = PackedLinear(linear, size, act) if layer is None else layer
        else:
            layer = PackedTranspose(_transpose(given, *values, self.dtype), size, act)
            self._count(None)
        replace(self.module, last, layer, (given["input"],), _name(weight))

    def _pack_conv(self, node: fx.Node, last: fx.Node, conv: nn.Conv2d) -> None:
        x, size = node.args[0], shape(node.args[0])
        other = None
        if conv.groups == 1:  # with groups, oneDNN would not fuse it
            last, other = self._addition(last)
        last, act = self._activation(last, relu_only=other is not None)
        layer = self.factory(conv, size, act, other is not None)
        self._count(layer)
        layer = packed_conv(conv, size, act, other is not None) if layer is None else layer
        given = (x,) if other is None else (x, other)
        replace(self.module, last, layer, given, _name(node.args[1]))

    def _count(self, made: nn.Module | None) -> None:
        self.facts["packed" if made is None else "by_factory"] += 1

    def _folded(
        self, node: fx.Node, weight: Tensor, bias: Tensor | None
    ) -> tuple[fx.Node, tuple[Tensor, Tensor | None]]:
        """Fold the norm that alone reads a layer's output."""
        norm = only_user(node)
        found = _norm(self.module, norm, node)
        grouped = node.target is _TRANSPOSE and arguments(node)["groups"] > 1
        if norm is None or found is None or grouped:
            return node, (weight, bias)
        gain, offset, mean, variance, eps = found
        self.facts["norms_folded"] += 1
        if node.target is _LINEAR:
            values = fuse_linear_bn_weights(weight, bias, mean, variance, eps, gain, offset)
        else:
            turned = node.target is _TRANSPOSE
            values = fuse_conv_bn_weights(
                weight, bias, mean, variance, eps, gain, offset, transpose=turned
            )
        return norm, values

    def _addition(self, node: fx.Node) -> tuple[fx.Node, fx.Node | None]:
        """Find a tensor of the same shape that alone is added to a convolution's output."""
        add = only_user(node)
        if add is None or add.target is not _ADD or add.kwargs or len(add.all_input_nodes) != 2:
            return node, None
        other = next(one for one in add.all_input_nodes if one is not node)
        if "val" not in other.meta or shape(other) != shape(node):
            return node, None
        self.facts["additions_fused"] += 1
        return add, other

    def _activation(
        self, node: fx.Node, relu_only: bool = False
    ) -> tuple[fx.Node, nn.Module | None]:
        act = only_user(node)
        if act is None or act.target not in _ACTS or act.kwargs:
            return node, None
        if relu_only and act.target is not aten.relu.default:
            return node, None
        self.facts["activations_fused"] += 1
        return act, _ACTS[act.target](*act.args)

    def visit_norm(self, node: fx.Node) -> None:
        """Make a norm that no layer could take one multiplication and addition."""
        found = _norm(self.module, node, node.args[0] if node.args else None)
        if found is None or len(shape(node)) != 4:
            return
        gain, offset, mean, variance, eps = found
        scale = (variance + eps).rsqrt() * (1 if gain is None else gain)
        shift = (0 if offset is None else offset) - mean * scale
        act = only_user(node)
        relu = act is not None and act.target is aten.relu.default
        layer = ScaleShift(*(one.to(self.dtype).view(1, -1, 1, 1) for one in (scale, shift)), relu)
        self.facts["activations_fused"] += relu
        last = act if act is not None and relu else node
        replace(self.module, last, layer, (node.args[0],), node.name)


def _clamp(low: float, high: float) -> nn.Module:
    return nn.ReLU6() if (low, high) == (0, 6) else nn.Hardtanh(low, high)


def _norm(module: nn.Module, node: fx.Node | None, given: Any) -> tuple[Any, ...] | None:
    """Give gain, offset, mean, variance and epsilon of a batch norm by statistics that are kept."""
    if node is None or node.target is not _NORM or node.args[0] is not given:
        return None
    how = arguments(node)
    tensors = [how[name] for name in ("weight", "bias", "running_mean", "running_var")]
    if how["training"] or tensors[2] is None or not all(map(is_constant, tensors)):
        return None
    return (*(constant(module, one) for one in tensors), how["eps"])


def _conv(
    given: dict[str, Any], weight: Tensor, bias: Tensor | None, dtype: torch.dtype
) -> nn.Conv2d:
    names = ("stride", "padding", "dilation")
    how: dict[str, Any] = {name: tuple(_pair(given[name])) for name in names}
    how["groups"] = given["groups"]
    rows, columns = weight.shape[2:]
    with torch.device("meta"):
        conv = nn.Conv2d(weight.shape[1] * given["groups"], weight.shape[0], (rows, columns), **how)
    _give(conv, weight, bias, dtype)
    return conv


def _transpose(
    given: dict[str, Any], weight: Tensor, bias: Tensor | None, dtype: torch.dtype
) -> nn.ConvTranspose2d:
    names = ("stride", "padding", "output_padding", "dilation")
    how: dict[str, Any] = {name: tuple(_pair(given[name])) for name in names}
    how["groups"] = given["groups"]
    rows, columns = weight.shape[2:]
    with torch.device("meta"):
        conv = nn.ConvTranspose2d(
            weight.shape[0], weight.shape[1] * given["groups"], (rows, columns), **how
        )
    _give(conv, weight, bias, dtype)
    return conv


def _linear(weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> nn.Linear:
    with torch.device("meta"):
        linear = nn.Linear(weight.shape[1], weight.shape[0])
    _give(linear, weight, bias, dtype)
    return linear


def _give(layer: nn.Module, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
    """Give a layer its tensors, in the type to compute in."""
    for name, value in (("weight", weight), ("bias", bias)):
        given = None if value is None else nn.Parameter(value.to(dtype, copy=True), False)
        setattr(layer, name, given)


def _pair(values: list[int]) -> list[int]:
    return [*values] * 2 if len(values) == 1 else [*values]


def _name(weight: Any) -> str:
    return str(weight.target).removesuffix(".weight")
