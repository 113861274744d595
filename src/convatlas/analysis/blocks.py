"""A block as the graph of its layers: what leads where, as the code says it.

The block is traced by torch.fx, so its `forward` must not branch on values.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from convatlas.analysis.finding import find_layer
from convatlas.analysis.meta import images
from convatlas.analysis.record import LayerRecord
from convatlas.analysis.report import Report, size_text
from convatlas.analysis.trace import trace
from convatlas.errors import InputError

_ROOM = 60  # boxes that a picture has room for
_FUNCTIONS = {"cat": "concatenate", "add": "add", "mul": "multiply", "iadd": "add"}
_NOTES = {
    "BatchNorm2d": "batch norm",
    "LocalResponseNorm": "local response norm",
    "SiLU": "SiLU",
    "ReLU": "ReLU",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Squash": "squash",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A box of a block's figure.

    Attributes:
        name: Its name in the graph.
        label: What it is: "3x3/2 convolution, 64".
        notes: What follows it at once and has no box of its own: ("batch norm", "ReLU").
        kind: "conv", "up", "pool", "linear", "join", "norm" or "image"; "other" for the rest.
        shape: What leaves it, without the batch.
        inputs: Names of the boxes that lead to it, in the order of the code.
    """

    name: str
    label: str
    notes: tuple[str, ...]
    kind: str
    shape: tuple[int, ...]
    inputs: tuple[str, ...]


class _Layers(fx.Tracer):
    """Traces down to the modules that call no others."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        """Tell whether a module is a box: it has no modules inside."""
        return next(m.children(), None) is None


def block_graph(report: Report) -> list[Node]:
    """Give the boxes of a block, the input first and each behind all that lead to it.

    Args:
        report: Of the block alone, as `analyze` gives it.

    Raises:
        InputError: The block can't be followed, or has more boxes than a picture has room for.
    """
    try:
        graph = _Layers().trace(report.model)
        traced = fx.GraphModule(report.model, graph)
        with torch.device("meta"), torch.no_grad():
            ShapeProp(traced).propagate(images(report.model, report.input_shape))
    except Exception as error:  # whatever a forward may do with what is no tensor
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{report.name} can't be drawn as a graph of layers: {reason}") from error
    layers = {layer.name: layer for layer in report.layers}
    nodes: dict[str, Node] = {}
    stands_for: dict[str, str] = {}  # what has no box -> the box that it belongs to
    for step in graph.nodes:
        if step.op == "output":
            break
        inputs = tuple(stands_for[given.name] for given in step.all_input_nodes)
        node = _node(step, inputs, layers, traced)
        owner = nodes.get(inputs[0]) if len(inputs) == 1 else None
        if node.kind == "none" and owner is not None:
            stands_for[step.name] = owner.name
        elif node.kind == "note" and owner is not None and _follows(step, owner):
            nodes[owner.name] = replace(owner, notes=(*owner.notes, node.label))
            stands_for[step.name] = owner.name
        else:
            shown = "norm" if node.kind == "note" else node.kind
            nodes[step.name] = replace(node, kind=shown)
            stands_for[step.name] = step.name
    if len(nodes) > _ROOM:
        raise InputError(f"{report.name} has {len(nodes)} layers to draw: choose a smaller block")
    return list(nodes.values())


def _follows(step: fx.Node, owner: Node) -> bool:
    """Tell whether nothing else uses what a box made, and the box is no input."""
    (given,) = step.all_input_nodes
    return owner.kind != "image" and len(given.users) == 1


def _node(
    step: fx.Node,
    inputs: tuple[str, ...],
    layers: Mapping[str, LayerRecord],
    traced: fx.GraphModule,
) -> Node:
    meta = step.meta.get("tensor_meta")
    shape = tuple(getattr(meta, "shape", ()))[1:]
    kind, notes = "other", ()
    label = str(getattr(step.target, "__name__", step.target)).strip("_")
    if step.op == "placeholder":
        kind, label = "image", "input"
    elif step.op == "call_module":
        name = str(step.target)
        layer = layers.get(name)
        kind, label = _module(traced.get_submodule(name), layer)
        if layer is not None and layer.groups > 1 and "depthwise" not in label:
            notes = (f"{layer.groups} groups",)
    elif label in _FUNCTIONS:
        kind, label = "join", _FUNCTIONS[label]
    return Node(step.name, label, notes, kind, shape, inputs)


def _module(module: nn.Module, layer: LayerRecord | None) -> tuple[str, str]:
    """Give the kind and the label of a layer."""
    word = type(module).__name__
    if isinstance(module, nn.Identity | nn.Dropout | nn.Flatten):
        return "none", word
    if layer is None:
        return "other", word
    if layer.role in ("norm", "activation"):
        return "note", _NOTES.get(word, word)
    window = _window(layer)
    if layer.role == "conv":
        channels = layer.output_shape[0]
        if isinstance(module, nn.ConvTranspose2d):
            return "up", f"{window} up-convolution, {channels}"
        if layer.groups == layer.input_shape[0] > 1:
            return "conv", f"{window} depthwise, {channels}"
        return "conv", f"{window} convolution, {channels}"
    if layer.role == "linear":
        return "linear", f"linear, {layer.output_shape[-1]}"
    if layer.role == "pool":
        way = "max" if "Max" in word else "average"
        whole = "Adaptive" in word
        return "pool", "global average" if whole else f"{window} {way} pooling"
    return "other", word


def _window(layer: LayerRecord) -> str:
    if layer.kernel is None:
        return ""
    stride = layer.stride or (1,)
    return size_text(layer.kernel) + (f"/{stride[0]}" if max(stride) > 1 else "")


def ranks(nodes: Sequence[Node]) -> dict[str, int]:
    """Give the row of each box, from 0 for the input down; each as near to the end as can be."""
    users: dict[str, list[str]] = {node.name: [] for node in nodes}
    for node in nodes:
        for given in node.inputs:
            users[given].append(node.name)
    height: dict[str, int] = {}
    for node in reversed(nodes):
        height[node.name] = 1 + max((height[user] for user in users[node.name]), default=-1)
    last = max(height.values())
    return {name: last - value for name, value in height.items()}


def lanes(nodes: Sequence[Node]) -> dict[tuple[str, int], float]:
    """Give the column of each arrow, so that branches run side by side, in the order of the code.

    Returns:
        (box, number of its input) -> column, from 0 for the leftmost.
    """
    known = {node.name: node for node in nodes}
    found: dict[tuple[str, int], float] = {}
    reached: set[str] = set()
    free = itertools.count()

    def lead_to(name: str) -> float:
        """Find columns for all that leads to a box; give the one in their middle."""
        for i, given in enumerate(known[name].inputs):
            if given in reached or not known[given].inputs:
                found[name, i] = next(free)  # the box given is drawn as wide as its arrows ask for
            else:
                reached.add(given)
                found[name, i] = lead_to(given)
        columns = [found[name, i] for i in range(len(known[name].inputs))]
        return (min(columns) + max(columns)) / 2 if columns else next(free)

    lead_to(nodes[-1].name)
    return found


def find_block(report: Report, name: str) -> Report:
    """Report on a block of a network alone, on the maps that enter it there.

    Args:
        report: Of the network.
        name: As `find_layer` takes it; dotted, such as "stages.conv2_x.0".

    Raises:
        UnknownNameError: No such block; the message lists near names.
        InputError: It is one layer, not a block.
    """
    record = find_layer(report, name)
    if record.role != "container":
        raise InputError(f"{name} is one layer, a {record.kind}; name a block that has layers")
    module = report.model.get_submodule(record.name)
    return Report(record.name, trace(module, record.input_shape), module)
