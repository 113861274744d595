"""Layers of this package that follow each other in a graph, and where in memory their maps lie."""

import operator
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from convatlas.engines.graph_in_place import Into, Over, Room
from convatlas.engines.graph_join import First
from convatlas.engines.graph_trace import insert
from convatlas.engines.native_layer import NativeLayer
from convatlas.engines.native_steps import Block, Part, Plan, Planned, Steps
from convatlas.engines.product_conv import ProductLinear

_LINE = 64  # bytes: blocks begin at whole lines of a cache


def run_in_steps(module: fx.GraphModule, example: Tensor) -> int:
    """Run layers of this package that follow each other in one call; give how many do.

    Args:
        module: A rewritten network; it is changed.
        example: Images of the shape and type that it is for, channels last.
    """
    values = _Values(module).of(example)
    count, group = 0, list[fx.Node]()
    for node in [*module.graph.nodes]:
        if _fits(module, node, values):
            group.append(node)
        elif node.op not in ("placeholder", "get_attr"):
            count += _together(module, group, values)
            group = []
    module.graph.lint()
    module.delete_all_unused_submodules()
    module.recompile()
    return count


class _Values(fx.Interpreter):
    """Notes the shape, the distances and the type of each value of a graph."""

    def of(self, example: Tensor) -> dict[fx.Node, Tensor]:
        """Give a tensor without data for each value that is a tensor."""
        self.found: dict[fx.Node, Tensor] = {}
        with torch.inference_mode():
            self.run(example)
        return self.found

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            size = value.shape, value.stride()
            self.found[n] = torch.empty_strided(*size, dtype=value.dtype, device="meta")
        return value


def _fits(module: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Tensor]) -> bool:
    part = _part(module, node)
    if isinstance(part, Room | First):
        return True
    layer = part.layer if isinstance(part, Into | Over) else part
    if not isinstance(layer, NativeLayer) or isinstance(layer, ProductLinear) or layer.act:
        return False
    read = [values[one] for one in node.all_input_nodes]
    return all(x.dtype == layer.dtype and (x.stride(1) == 1 or x.shape[1] == 1) for x in read)


def _part(module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return module.get_submodule(str(node.target)) if node.op == "call_module" else None


def _together(module: fx.GraphModule, group: list[fx.Node], values: dict[fx.Node, Tensor]) -> int:
    """Put one call in place of several layers; give how many."""
    while group and isinstance(_part(module, group[-1]), Room | First):
        group.pop()  # the layers that they are for come later
    planning = _Planning(module, group, values)
    plan = planning.plan
    if len(plan.steps) < 2:
        return 0
    call = insert(module, group[-1], Steps(plan), planning.given, group[0].name)
    results = _results(module, call, planning.results)
    values |= {found: values[root] for root, found in results.items()}
    for node in group:
        if not isinstance(_part(module, node), First):
            node.replace_all_uses_with(results.get(planning.roots[node], node))
    last = next(reversed(results.values()), call)
    for node in reversed(group):
        if not node.users:
            module.graph.erase_node(node)
        else:  # the first of maps that later ones are added to, read elsewhere
            node.args = (results[planning.roots[node]],)
            last.append(node)
    return len(plan.steps)


def _results(
    module: fx.GraphModule, call: fx.Node, wanted: Sequence[fx.Node]
) -> dict[fx.Node, fx.Node]:
    if len(wanted) == 1:
        return {wanted[0]: call}
    found, last = {}, call
    for i, node in enumerate(wanted):
        with module.graph.inserting_after(last):
            last = module.graph.call_function(operator.getitem, (call, i))
        found[node] = last
    return found


class _Planning:
    """Finds what layers read and write, and where that lies.

    Attributes:
        plan: What was found.
        roots: For each operation, the one that made the memory in which its maps lie.
        given: Roots that are not in the group.
        results: Roots that others read, in the order in which `Steps` gives them.
    """

    def __init__(
        self, module: fx.GraphModule, group: list[fx.Node], values: dict[fx.Node, Tensor]
    ) -> None:
        self.module, self.group, self.values = module, group, values
        self.plan = Plan()
        self.roots: dict[fx.Node, fx.Node] = {}
        self.blocks: dict[fx.Node, Block] = {}
        self.given: list[fx.Node] = []
        written: set[fx.Node] = set()
        last: dict[fx.Node, int] = {}
        for i, node in enumerate(group):
            self._add(node)
            for one in (node, *node.all_input_nodes):
                last[self._root(one)] = i
            written.add(self.roots[node])
        own = [node for node in self.blocks if node not in self.given]
        outside = {self.roots[node] for node in group if set(node.users) - set(group)}
        made = [node for node in own if node in outside]
        changed = [node for node in self.given if node in written]
        self.results = [*changed, *made]
        self._place(made, [node for node in own if node not in outside], last)
        self.plan.changed = [self.given.index(node) for node in changed]

    def _add(self, node: fx.Node) -> None:
        part, read = _part(self.module, node), node.all_input_nodes
        if isinstance(part, Room | NativeLayer):
            self.roots[node] = node
            self.blocks[node] = Block(self.values[node])
        else:  # the maps of another one: what `Into` and `First` are given, and what `Over` adds
            other = node.args[1] if isinstance(part, Over) else node.args[0]
            self.roots[node] = self._root(cast("fx.Node", other))
        block = self.blocks[self.roots[node]]
        if isinstance(part, NativeLayer | Over):
            layer = part.layer if isinstance(part, Over) else part
            parts = [self._read(cast("fx.Node", one)) for one in node.args]
            added = parts[1] if len(parts) > 1 else None
            self.plan.steps.append(Planned(layer, parts[0], added, Part(block, block.value)))
        elif isinstance(part, Into):
            y = block.value.narrow(1, part.start, part.layer.maps)
            start = part.start * block.value.element_size()
            self.plan.steps.append(
                Planned(part.layer, self._read(read[1]), None, Part(block, y, start))
            )

    def _read(self, node: fx.Node) -> Part:
        return Part(self.blocks[self._root(node)], self.values[node])

    def _root(self, node: fx.Node) -> fx.Node:
        if node not in self.roots:
            self.roots[node] = node
            self.blocks[node] = Block(self.values[node])
            self.given.append(node)
        return self.roots[node]

    def _place(self, made: list[fx.Node], kept: list[fx.Node], last: dict[fx.Node, int]) -> None:
        """Give memory numbers, and what nobody else reads the lowest place that is free then."""
        for number, node in enumerate([*self.given, *made], 1):
            self.blocks[node].number = number
        self.plan.given = [self.blocks[node] for node in self.given]
        self.plan.made = [self.blocks[node] for node in made]
        placed: list[tuple[fx.Node, int, int]] = []
        for node in kept:
            begun, block = self.group.index(node), self.blocks[node]
            taken = sorted((a, b) for one, a, b in placed if last[one] >= begun)
            size = -(-_bytes(block.value) // _LINE) * _LINE
            for a, b in taken:
                if block.start + size <= a:
                    break
                block.start = max(block.start, b)
            placed.append((node, block.start, block.start + size))
        self.plan.floats = max((end // 4 for _, _, end in placed), default=1)


def _bytes(value: Tensor) -> int:
    return value.numel() * value.element_size()
