"""Layers that write their maps where they are needed, rather than where they are copied from."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, fx, nn

from convatlas.engines.graph_join import Append
from convatlas.engines.graph_layers import PackedConv, PackedPixels
from convatlas.engines.graph_trace import insert, only_user, replace, shape
from convatlas.engines.native_arena import Arena
from convatlas.engines.native_layer import NativeLayer

aten = torch.ops.aten


class Into(nn.Module):
    """A layer that writes to some channels of a wide tensor, which is changed."""

    def __init__(self, layer: NativeLayer, start: int) -> None:
        super().__init__()
        self.layer, self.start = layer, start

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        """(N, channels, H, W), (N, in, H, W) -> the first."""
        self.layer(x, out=y.narrow(1, self.start, self.layer.maps))
        return y


class Over(nn.Module):
    """A layer that writes over the maps that are added to its own, which are changed."""

    def __init__(self, layer: NativeLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """(N, in, H, W), (N, out, H', W') -> the second."""
        return self.layer(x, other, out=other)


class Room(nn.Module):
    """Place for maps that several layers write side by side."""

    def __init__(self, size: tuple[int, int, int, int], arena: Arena) -> None:
        super().__init__()
        self.size, self.arena = size, arena

    def forward(self, like: Tensor) -> Tensor:
        """Give (N, C, H, W) of the type of other maps; what is in it is open."""
        return self.arena.images(self.size, like.dtype)


def write_in_place(module: fx.GraphModule) -> int:
    """Let layers of this package write what would only be copied or added; give how many do."""
    count = 0
    for node in list(module.graph.nodes):
        layer = _layer(module, node)
        if isinstance(layer, Append) and len(node.args) == 2:
            count += _append(module, node, layer)
        elif node.target is aten.cat.default and node.args[1:] == (1,):
            count += _join(module, node)
    for node in list(module.graph.nodes):  # behind the others, which move reads to later places
        layer = _layer(module, node)
        if isinstance(layer, NativeLayer) and len(node.args) == 2:
            count += _add(module, node, layer)
    module.graph.lint()
    module.delete_all_unused_submodules()
    module.recompile()
    return count


def _append(module: fx.GraphModule, node: fx.Node, join: Append) -> bool:
    wide, part = node.all_input_nodes
    layer = _alone(module, part)
    if layer is None or only_user(part) is not node:
        return False
    replace(module, node, Into(layer, join.start), (wide, part.args[0]), str(part.target))
    return True


def _add(module: fx.GraphModule, node: fx.Node, layer: NativeLayer) -> bool:
    """Write a sum over what is added, where nobody reads that any more."""
    x, other = cast("Sequence[fx.Node]", node.args)
    if x is other or shape(other) != shape(node):
        return False
    made_here = isinstance(_layer(module, other), NativeLayer | PackedConv | PackedPixels | Over)
    if not made_here or max(other.users) is not node or any(map(_is_view, other.users)):
        return False
    replace(module, node, Over(layer), (x, other), str(node.target))
    return True


def _is_view(node: fx.Node) -> bool:
    """Whether what an operation gives may lie where something that it is given does."""
    if node.op == "call_module":
        return False  # of those that take maps of their own, none gives these
    schema = getattr(node.target, "_schema", None)
    return schema is None or any(result.alias_info is not None for result in schema.returns)


def _join(module: fx.GraphModule, node: fx.Node) -> int:
    """Let layers whose maps are only joined write them side by side; others are copied there."""
    parts = cast("Sequence[fx.Node]", node.args[0])
    if len(shape(node)) != 4 or len(set(parts)) < len(parts):
        return 0
    layers = [_alone(module, part) if only_user(part) is node else None for part in parts]
    own = [part for part, layer in zip(parts, layers, strict=True) if layer is not None]
    if not own:
        return 0
    arena = next(layer.arena for layer in layers if layer is not None)
    first = min(own)
    count, channels, height, width = shape(node)
    room = Room((count, channels, height, width), arena)
    wide = _before(module, first, room, node)
    starts = [sum(shape(part)[1] for part in parts[:i]) for i in range(len(parts))]
    given = sorted(zip(parts, layers, starts, strict=True), key=lambda one: one[0])
    for part, layer, start in given:
        place = max(part, wide)
        if layer is None:
            wide = insert(module, place, Append(start), (wide, part), f"{part.name}_join")
        else:
            name = str(part.target)
            wide = insert(module, place, Into(layer, start), (wide, part.args[0]), name)
        wide.meta["val"] = node.meta["val"]
    node.replace_all_uses_with(wide)
    node.graph.erase_node(node)
    for part in own:
        part.graph.erase_node(part)
    return len(own)


def _before(module: fx.GraphModule, first: fx.Node, room: Room, like: fx.Node) -> fx.Node:
    wide = insert(module, first, room, (first.args[0],), f"{like.name}_room")
    first.prepend(wide)
    wide.meta["val"] = like.meta["val"]
    return wide


def _alone(module: fx.GraphModule, node: fx.Node) -> NativeLayer | None:
    """Give the layer of this package that makes maps of others and adds nothing to them."""
    layer = _layer(module, node)
    return layer if isinstance(layer, NativeLayer) and len(node.args) == 1 else None


def _layer(module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return module.get_submodule(str(node.target)) if node.op == "call_module" else None
