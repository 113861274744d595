"""Layers of a network that learns, computed by operations of our own on processors."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import Any

from torch import Tensor, nn

from convatlas.train.adjacent import Line, has_hooks
from convatlas.train.average_pool import find_pooled_convs
from convatlas.train.dense_block import find_dense_blocks
from convatlas.train.depthwise import find_depthwise
from convatlas.train.dropout import find_dropouts
from convatlas.train.gate import find_gates
from convatlas.train.max_pool import find_max_pools
from convatlas.train.norm_act import find_pairs, find_sums
from convatlas.train.relu import find_relus
from convatlas.train.response_norm import find_response_norms
from convatlas.train.winograd import find_winograd

Computed = tuple[nn.Module, Callable[[Tensor], Tensor]]  # a layer, and what computes it


def find_fused(model: nn.Module) -> list[Computed]:
    """List the layers of a network that our operations compute; most need a C++ compiler."""
    convolutions = [*find_depthwise(model), *find_winograd(model)]
    found: list[Computed] = [(one.conv, one) for one in convolutions]
    found += [(one.norm, one) for one in find_response_norms(model)]
    found += [(one.layer, one) for one in find_dropouts(model)]
    found += [(one.act, one) for one in find_relus(model)]  # unless others take it along:
    for one in find_max_pools(model):
        found += [(one.pool, one)] + ([] if one.act is None else [(one.act, _unchanged)])
    for one in find_pooled_convs(model):
        found += [(one.conv, one), (one.pool, _unchanged)]
    for pair in find_pairs(model):
        found += [(pair.norm, pair), (pair.act, _unchanged)]
    found += [(one.block, one) for one in (*find_dense_blocks(model), *find_gates(model))]
    for one in find_sums(model):
        found += [(one.norm, _unchanged), (one.block, one)]
    return found


@contextlib.contextmanager
def computed(layers: Sequence[Computed]) -> Generator[None]:
    """Let these layers be computed so inside the block; those that somebody looks into, as ever."""
    seen = {one for _, compute in layers for one in _seen(compute)}
    before: list[tuple[nn.Module, Any]] = []
    try:
        for layer, compute in layers:
            if _seen(compute) or (compute is _unchanged and layer in seen):
                continue
            before.append((layer, vars(layer).get("forward")))
            layer.forward = compute
        yield
    finally:
        for layer, forward in reversed(before):
            vars(layer).pop("forward", None)
            if forward is not None:
                layer.forward = forward


def _seen(compute: Callable[[Tensor], Tensor]) -> Line:
    """Give the modules that an operation hides, where one of them has hooks."""
    hidden: Line = getattr(compute, "hidden", ())
    return hidden if any(map(has_hooks, hidden)) else ()


def _unchanged(x: Tensor) -> Tensor:
    return x
