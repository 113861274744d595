"""A network as one graph of operations, rewritten: fewer passes over memory, the same function.

What happens to a layer's output before anyone else reads it is done while it is written: batch
norm becomes other weights; an activation or a residual addition becomes part of the convolution.
"""

import dataclasses
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from convatlas.engines.eager import dtype_of
from convatlas.engines.engine import Order
from convatlas.engines.graph_join import join_once
from convatlas.engines.graph_layers import PackedLinear, PackedTranspose, ScaleShift, packed_conv
from convatlas.engines.graph_modules import (
    ACTIVATIONS,
    conv_of,
    linear_of,
    norm_of,
    scale_and_shift,
    transpose_of,
)
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
from convatlas.engines.wanted import Before, Factory, Wanted, no_layer

aten = torch.ops.aten
_CONV, _TRANSPOSE = aten.conv2d.default, aten.conv_transpose2d.input
_LINEAR, _ADD = aten.linear.default, aten.add.Tensor
_FOLDING = (_CONV, _TRANSPOSE, _LINEAR)  # take the norm behind them
_ONCE: dict[str, Any] = {"stride": [1], "padding": [0], "dilation": [1]}


def rewritten(order: Order, factory: Factory = no_layer) -> tuple[fx.GraphModule, dict[str, Any]]:
    """Trace a network for the example's shape, and rewrite what was traced.

    Args:
        order: The model stays as it is.
        factory: Gives the layer that computes what is wanted, or leaves it to oneDNN.

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
        self.facts: dict[str, Any] = dict.fromkeys((*names, "filters_before"), 0)

    def visit(self, node: fx.Node) -> None:
        """Pack a layer together with what follows it."""
        if node.target not in _FOLDING or not node.users:
            return  # without readers: it is computed with the convolution behind it
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
            self._pack_conv(node, last, conv_of(given, *values, self.dtype))
            return
        last, act = self._activation(last)
        size = shape(given["input"])
        if node.target is _LINEAR:
            linear = linear_of(*values, self.dtype)
            layer = self.factory(Wanted(linear, size, act))
            self._count(layer)
            layer = PackedLinear(linear, size, act) if layer is None else layer
        else:
            layer = PackedTranspose(transpose_of(given, *values, self.dtype), size, act)
            self._count(None)
        replace(self.module, last, layer, (given["input"],), _name(weight))

    def _pack_conv(self, node: fx.Node, last: fx.Node, conv: nn.Conv2d) -> None:
        x: Any = node.args[0]
        size, other = shape(x), None
        if conv.groups == 1:  # with groups, oneDNN would not fuse it
            last, other = self._addition(last)
        last, act = self._activation(last, relu_only=other is not None)
        wanted = Wanted(conv, size, act, other is not None)
        given, layer = self._with_filters(x, wanted)
        layer = self.factory(wanted) if layer is None else layer
        self._count(layer)
        layer = packed_conv(conv, size, act, other is not None) if layer is None else layer
        read = (given,) if other is None else (given, other)
        replace(self.module, last, layer, read, _name(node.args[1]))

    def _with_filters(self, x: fx.Node, wanted: Wanted) -> tuple[fx.Node, nn.Module | None]:
        """Compute filters of single maps together with the convolution that alone reads them."""
        facts = dict(self.facts)
        found = self._before(x) if wanted.layer.kernel_size == (1, 1) else None
        if found is not None:
            given, before = found
            size = shape(given)
            layer = self.factory(dataclasses.replace(wanted, size=size, before=before))
            if layer is not None:
                self.facts["filters_before"] += 1
                return given, layer
        self.facts = facts
        return x, None

    def _before(self, x: fx.Node) -> tuple[fx.Node, Before] | None:
        """Find the filters or the norm that give maps, and what those read."""
        act, given = None, _given(x)
        if x.target in ACTIVATIONS and not x.kwargs and given is not None:
            act = ACTIVATIONS[x.target](*x.args)
            self.facts["activations_fused"] += 1
            x, given = given, _given(given)
        if given is None:
            return None
        found = norm_of(self.module, x, given)
        filters, read = (x, given) if found is None else (given, _given(given))
        conv = None if read is None else self._filters(filters)
        if conv is not None and read is not None:
            return read, Before(conv, act)
        if found is None or (read is not None and filters.target in _FOLDING):
            return None
        scale, shift = scale_and_shift(found)
        how = {**_ONCE, "groups": len(scale)}
        return given, Before(conv_of(how, scale.view(-1, 1, 1, 1), shift, self.dtype), act)

    def _filters(self, node: fx.Node) -> nn.Conv2d | None:
        """Give a depthwise convolution that keeps the number of maps, its norm folded."""
        if node.target is not _CONV or len(shape(node)) != 4:
            return None
        given = arguments(node)
        weight, bias = (constant(self.module, given[name]) for name in ("weight", "bias"))
        if weight is None or not is_constant(given["bias"]):
            return None
        if not given["groups"] == shape(node)[1] == shape(given["input"])[1]:
            return None
        return conv_of(given, *self._folded(node, weight, bias)[1], self.dtype)

    def _count(self, made: nn.Module | None) -> None:
        self.facts["packed" if made is None else "by_factory"] += 1

    def _folded(
        self, node: fx.Node, weight: Tensor, bias: Tensor | None
    ) -> tuple[fx.Node, tuple[Tensor, Tensor | None]]:
        """Fold the norm that alone reads a layer's output."""
        norm = only_user(node)
        found = norm_of(self.module, norm, node)
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
        if act is None or act.target not in ACTIVATIONS or act.kwargs:
            return node, None
        if relu_only and act.target is not aten.relu.default:
            return node, None
        self.facts["activations_fused"] += 1
        return act, ACTIVATIONS[act.target](*act.args)

    def visit_norm(self, node: fx.Node) -> None:
        """Make a norm that no layer could take one multiplication and addition."""
        found = norm_of(self.module, node, node.args[0] if node.args else None)
        if found is None or len(shape(node)) != 4:
            return
        scale, shift = scale_and_shift(found)
        act = only_user(node)
        relu = act is not None and act.target is aten.relu.default
        layer = ScaleShift(*(one.to(self.dtype).view(1, -1, 1, 1) for one in (scale, shift)), relu)
        self.facts["activations_fused"] += relu
        last = act if act is not None and relu else node
        replace(self.module, last, layer, (node.args[0],), node.name)


def _given(node: fx.Node) -> fx.Node | None:
    """Give what an operation reads whose value one other alone reads."""
    first = node.args[0] if node.args and only_user(node) else None
    return first if isinstance(first, fx.Node) else None


def _name(weight: Any) -> str:
    return str(weight.target).removesuffix(".weight")
