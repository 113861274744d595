"""Which rule each operation of PyTorch follows, and what it costs."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from convatlas.analysis import shaping, sliding
from convatlas.analysis.operation import Fields, Operation
from convatlas.analysis.sliding import each

aten = torch.ops.aten
Rule = Callable[[Operation], Fields]

_BY_RULE: dict[Rule, tuple[str, ...]] = {
    sliding.convolution: ("convolution",),
    sliding.pooling: (
        "max_pool2d_with_indices",
        "max_pool3d_with_indices",
        "avg_pool2d",
        "avg_pool3d",
    ),
    sliding.adaptive_pooling: (
        "_adaptive_avg_pool2d",
        "_adaptive_avg_pool3d",
        "adaptive_max_pool2d",
        "adaptive_max_pool3d",
    ),
    sliding.resizing: (
        "upsample_nearest1d",
        "upsample_nearest2d",
        "upsample_nearest3d",
        "_upsample_nearest_exact1d",
        "_upsample_nearest_exact2d",
        "_upsample_nearest_exact3d",
        "upsample_linear1d",
        "upsample_bilinear2d",
        "upsample_trilinear3d",
        "upsample_bicubic2d",
    ),
    sliding.pixel_shuffling: ("pixel_shuffle",),
    sliding.pixel_unshuffling: ("pixel_unshuffle",),
    sliding.padding: (
        "constant_pad_nd",
        "reflection_pad1d",
        "reflection_pad2d",
        "reflection_pad3d",
        "replication_pad1d",
        "replication_pad2d",
        "replication_pad3d",
    ),
    sliding.slicing: ("slice",),
    shaping.pointwise: (
        "clone",
        "detach",
        "alias",
        "lift_fresh",
        "_to_copy",
        "expand",
        "repeat",
        "copy_",
        "native_dropout",
        "channel_shuffle",
    ),
    shaping.concatenating: ("cat",),
    shaping.stacking: ("stack",),
    shaping.splitting: ("split", "split_with_sizes"),
    shaping.indexing: ("index",),
    shaping.viewing: ("view", "_unsafe_view", "_reshape_alias", "squeeze", "unsqueeze"),
    shaping.permuting: ("permute", "transpose", "t"),
    shaping.selecting: ("select",),
    shaping.unbinding: ("unbind",),
    shaping.reducing: ("mean", "sum", "amax", "amin", "max", "min", "var", "std", "prod"),
    shaping.mixing: (
        "_softmax",
        "_log_softmax",
        "_safe_softmax",
        "native_layer_norm",
        "native_group_norm",
    ),
    shaping.batch_norm: (
        "native_batch_norm",
        "_native_batch_norm_legit",
        "_native_batch_norm_legit_no_training",
    ),
    shaping.multiplying: ("mm", "addmm", "bmm", "baddbmm", "mv"),
}
RULES: dict[Any, Rule] = {
    getattr(aten, name): rule for rule, names in _BY_RULE.items() for name in names
}

FACTORIES = frozenset(  # they take the shape of a tensor, not its values
    [f"new_{kind}" for kind in ("empty", "empty_strided", "zeros", "ones", "full")]
    + [f"{kind}_like" for kind in ("empty", "zeros", "ones", "full", "rand", "randn")]
)
_NONLINEAR = (
    *("relu", "sigmoid", "tanh", "gelu", "silu", "elu", "celu", "leaky_relu", "hardtanh", "mish"),
    *("hardswish", "hardsigmoid", "softplus", "_prelu_kernel", "log_sigmoid_forward"),
)
ACTIVATIONS = frozenset(_NONLINEAR) | frozenset(f"{name}_" for name in _NONLINEAR)  # in place


def see(op: Operation, tags: list[Any]) -> Fields:
    """Give what the output of an operation sees along each spatial axis of the network's input."""
    rule = RULES.get(op.packet)
    if rule is None:
        rule = shaping.pointwise if torch.Tag.pointwise in tags else shaping.everything
    if rule is sliding.convolution and op.seen(op.args[1]):
        rule = shaping.everything  # a filter made from the image
    return rule(op)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one operation is and costs.

    Attributes:
        name: The operation.
        role: "conv", "linear", "pool", "norm", "activation" or "other".
        macs: Multiply-adds of a convolution or of a product with weights; else 0.
        kernel: Of a convolution or a pooling.
        stride: Of a convolution or a pooling.
        groups: Of a convolution.
        weight_shape: Of a convolution or a linear layer, output channels first.
        transposed: Whether it is a transposed convolution.
    """

    name: str
    role: str
    macs: int = 0
    kernel: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    groups: int = 1
    weight_shape: tuple[int, ...] | None = None
    transposed: bool = False


def cost(op: Operation, seen: Fields) -> Cost:
    """Tell what an operation is and what it costs; `seen` is what its output sees."""
    rule = RULES.get(op.packet)
    if rule is sliding.convolution:
        return _convolution_cost(op)
    if rule is shaping.multiplying:
        return _product_cost(op)
    if rule in (sliding.pooling, sliding.adaptive_pooling, shaping.reducing):
        return _pooling_cost(op, seen)
    if rule is shaping.batch_norm or op.name in ("native_layer_norm", "native_group_norm"):
        return Cost(op.name, "norm")
    return Cost(op.name, "activation" if op.name in ACTIVATIONS else "other")


def _convolution_cost(op: Operation) -> Cost:
    x, weight, transposed = op.args[0], op.args[1], op.args[6]
    places = x if transposed else op.output  # each gets or gives one window of products
    stride = tuple(each(op.args[3], weight.dim() - 2))
    return Cost(
        op.name,
        "conv",
        places.numel() * math.prod(weight.shape[1:]),
        tuple(weight.shape[2:]),
        stride,
        op.args[8],
        tuple(weight.shape),
        transposed,
    )


def _product_cost(op: Operation) -> Cost:
    a, b = [arg for arg in op.args if isinstance(arg, torch.Tensor)][-2:]
    if op.seen(a) and op.seen(b):
        return Cost(op.name, "other")  # attention and the like: no weights
    shape = tuple(reversed(b.shape)) if op.seen(a) else tuple(a.shape)
    return Cost(op.name, "linear", op.output.numel() * a.shape[-1], weight_shape=shape[-2:])


def _pooling_cost(op: Operation, seen: Fields) -> Cost:
    x, out = op.inputs()[0], op.output
    if RULES[op.packet] is sliding.pooling:
        kernel = tuple(each(op.args[1], 1))
        stride = tuple(each(op.arg(2, "stride") or kernel, len(kernel)))
        first = x.dim() - len(kernel)
        moving = [f.axis for f in op.fields(x) if f.axis is not None and f.axis >= first]
        pools = any(kernel[axis - first] > 1 for axis in moving)
        return Cost(op.name, "pool" if pools else "other", kernel=kernel, stride=stride)
    pools = any(
        before.axis is not None
        and x.shape[before.axis] > 1
        and (after.axis is None or out.shape[after.axis] < x.shape[before.axis])
        for before, after in zip(op.fields(x), seen, strict=True)
    )
    return Cost(op.name, "pool" if pools else "other")
