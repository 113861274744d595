"""Operations in another order, in which they have less to do and give the same."""

from typing import Any

import torch
from torch import fx

from convatlas.engines.graph_trace import arguments, only_user, shape

aten = torch.ops.aten
_CONV, _POOL = aten.conv2d.default, aten.avg_pool2d.default
_POINTWISE: dict[str, Any] = {"stride": 1, "padding": 0}
_PLAIN: dict[str, Any] = {"padding": 0, "ceil_mode": False, "divisor_override": None}


def pool_first(module: fx.GraphModule) -> int:
    """Average maps before a 1x1 convolution rather than behind it; give how often.

    Both are linear, and neither looks at what the other does. Behind a pooling of 2x2, as in the
    transitions of DenseNet, there is a quarter as much to multiply.
    """
    count = 0
    for conv in list(module.graph.nodes):
        pool = only_user(conv)
        if conv.target is not _CONV or pool is None or pool.target is not _POOL:
            continue
        if shape(conv.args[1])[2:] != (1, 1) or not (_has(conv, _POINTWISE) and _has(pool, _PLAIN)):
            continue
        x = conv.args[0]
        with module.graph.inserting_before(conv):
            pooled = module.graph.call_function(_POOL, (x, *pool.args[1:]), pool.kwargs)
        size = (*shape(x)[:2], *shape(pool)[2:])
        pooled.meta["val"] = x.meta["val"].new_empty(size)
        conv.replace_input_with(x, pooled)
        conv.meta["val"] = pool.meta["val"]
        pool.replace_all_uses_with(conv)
        module.graph.erase_node(pool)
        count += 1
    return count


def _has(node: fx.Node, wanted: dict[str, Any]) -> bool:
    """Whether an operation has these settings; of pairs, both."""
    given = arguments(node)
    return all(
        set(given[name]) == {value}
        if isinstance(given[name], list | tuple)
        else given[name] == value
        for name, value in wanted.items()
    )
