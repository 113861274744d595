"""A batch cut into pieces whose maps stay in the processor's cache, where that is quicker."""

import dataclasses
import math
import time
from typing import Any

import torch
from torch import Tensor, fx, nn

from convatlas.engines.eager import channels_last, dtype_of
from convatlas.engines.engine import Order
from convatlas.engines.graph import rewritten
from convatlas.engines.graph_trace import shape
from convatlas.engines.wanted import Factory, no_layer

CACHE_BYTES = 40 * 2**20  # of what an operation reads and writes; with less, calls cost more
_SAME = 0.05  # of the largest logit: what images do to each other's is more, rounding less
_ROUNDS, _CLEARLY = 3, 1.25  # where one takes so many times as long, one round tells


class Pieces(nn.Module):
    """A network that takes so many images at a time.

    Large maps would leave the cache between layers; the system gives memory for them page by
    page besides, and takes it back after each layer.
    """

    def __init__(self, module: nn.Module, size: int) -> None:
        super().__init__()
        self.module, self.size = module, size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, classes) or (N, classes, H, W)."""
        return torch.cat([self.module(part) for part in x.split(self.size)])


def rewritten_in_pieces(
    order: Order, factory: Factory = no_layer, cache_bytes: int = CACHE_BYTES
) -> tuple[nn.Module, dict[str, Any]]:
    """Rewrite a network for a batch, or for a part of it that suits the cache: what is quicker.

    Takes and gives what `rewritten` does; the facts tell how many images go at a time. Networks
    whose answer to an image depends on the others of its batch get the whole.

    Raises:
        GraphError: The network can't be traced.
    """
    module, facts = rewritten(order, factory)
    batch = len(order.example)
    size = fitting(module, batch, cache_bytes)
    if size < batch:
        piece = dataclasses.replace(order, example=order.example[:size])
        smaller, smaller_facts = rewritten(piece, factory)
        pieces = Pieces(smaller, size)
        if is_better(pieces, module, channels_last(order.example.to(dtype_of(order.precision)))):
            return pieces, smaller_facts | {"images_at_a_time": size}
    return module, facts | {"images_at_a_time": batch}


def fitting(module: fx.GraphModule, batch: int, cache_bytes: int = CACHE_BYTES) -> int:
    """Give the largest part of a batch of which what any operation reads and writes fits."""
    read = [
        (node, *node.all_input_nodes)
        for node in module.graph.nodes
        if node.op in ("call_module", "call_function")
    ]
    most = max((sum(_bytes(one) for one in nodes) for nodes in read), default=0)
    sizes = [size for size in range(1, batch + 1) if batch % size == 0]
    return max((size for size in sizes if size * most <= cache_bytes * batch), default=1)


def _bytes(node: fx.Node) -> int:
    value = node.meta.get("val")
    return shape(node).numel() * value.element_size() if isinstance(value, Tensor) else 0


def is_better(pieces: nn.Module, whole: nn.Module, x: Tensor) -> bool:
    """Whether pieces give the same answers as the whole batch, in less time."""
    with torch.inference_mode():
        expected, found = whole(x), pieces(x)
        if expected.shape != found.shape:
            return False
        if not (found - expected).abs().max() <= _SAME * expected.abs().max():
            return False
        return quicker(pieces, whole, x)


def quicker(first: nn.Module, second: nn.Module, x: Tensor) -> bool:
    """Whether one module takes less time than another; both have run before."""
    least = {first: math.inf, second: math.inf}
    for _ in range(_ROUNDS):
        for module in least:
            begun = time.perf_counter()
            module(x)
            least[module] = min(least[module], time.perf_counter() - begun)
        if max(least.values()) > _CLEARLY * min(least.values()):
            break
    return least[first] < least[second]
