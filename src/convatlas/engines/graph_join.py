"""Maps joined again and again, as dense blocks do: each copied once, into one wide tensor."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, fx, nn

from convatlas.engines.graph_layers import ScaleShift
from convatlas.engines.graph_trace import insert, shape
from convatlas.engines.native_layer import NativeLayer

aten = torch.ops.aten


class Begin(nn.Module):
    """The first maps of a wide tensor, which has room for those to come."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, *parts: Tensor) -> Tensor:
        """(N, a, H, W), (N, b, H, W), ... -> (N, channels, H, W), channels last."""
        count, _, height, width = parts[0].shape
        size = (count, self.channels, height, width)
        y = torch.empty(size, dtype=parts[0].dtype, memory_format=torch.channels_last)
        return _put(y, 0, parts)


class Append(nn.Module):
    """Further maps of a wide tensor, which is changed."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start

    def forward(self, y: Tensor, *parts: Tensor) -> Tensor:
        """(N, channels, H, W), (N, a, H, W), ... -> the first."""
        return _put(y, self.start, parts)


def _put(y: Tensor, start: int, parts: Sequence[Tensor]) -> Tensor:
    """Copy maps into wider ones, from one of them on."""
    for part in parts:
        y.narrow(1, start, part.shape[1]).copy_(part)
        start += part.shape[1]
    return y


class First(nn.Module):
    """The maps that a wide tensor has so far, where they lie."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, y: Tensor) -> Tensor:
        """(N, channels and more, H, W) -> (N, channels, H, W)."""
        return y.narrow(1, 0, self.channels)


def join_once(module: fx.GraphModule) -> int:
    """Give each chain of growing concatenations one tensor; give how many of them there were.

    What reads them gets maps that are a part of wider ones, which norms on their own take well.
    """
    chains: list[list[fx.Node]] = []
    for node in module.graph.nodes:
        if not _is_join(node):
            continue
        fitting = [chain for chain in chains if _grows(chain[-1], node)]
        if fitting:
            fitting[0].append(node)
        else:
            chains.append([node])
    for chain in chains:
        if len(chain) > 1:
            _join(module, chain)
    return sum(len(chain) for chain in chains if len(chain) > 1)


def _is_join(node: fx.Node) -> bool:
    if node.target is not aten.cat.default or len(node.args) != 2 or node.args[1] != 1:
        return False
    return len({shape(part)[2:] for part in _given(node)}) == 1 and len(shape(node)) == 4


def _given(node: fx.Node) -> Sequence[fx.Node]:
    return cast("Sequence[fx.Node]", node.args[0])


def _parts(node: fx.Node) -> list[fx.Node]:
    """List what is joined in the end, those inside other concatenations too."""
    parts: list[fx.Node] = []
    for part in _given(node):
        parts += _parts(part) if _is_join(part) else [part]
    return parts


def _grows(before: fx.Node, node: fx.Node) -> bool:
    """Whether maps begin with those of another concatenation, read by what takes parts alone."""
    had, has = _parts(before), _parts(node)
    return len(had) < len(has) and has[: len(had)] == had and all(map(_takes_parts, before.users))


def _takes_parts(user: fx.Node) -> bool:
    module = user.graph.owning_module
    if user.op != "call_module" or module is None:
        return user.target is aten.cat.default
    return isinstance(module.get_submodule(str(user.target)), ScaleShift | NativeLayer)


def _join(module: fx.GraphModule, chain: list[fx.Node]) -> None:
    parts, widths = [_parts(node) for node in chain], [shape(node)[1] for node in chain]
    wide = insert(module, chain[0], Begin(widths[-1]), parts[0])
    for i, node in enumerate(chain):
        if i > 0:
            new = parts[i][len(parts[i - 1]) :]
            wide = insert(module, node, Append(widths[i - 1]), [wide, *new])
        last = i == len(chain) - 1
        found = wide if last else insert(module, wide, First(widths[i]), [wide])
        node.replace_all_uses_with(found)
    for node in reversed(chain):
        node.graph.erase_node(node)
