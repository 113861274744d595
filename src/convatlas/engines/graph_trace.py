"""A network as a graph of torch's operations, for images of one shape."""

import copy
import itertools
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from convatlas.engines.eager import channels_last
from convatlas.engines.engine import EngineError, Order
from convatlas.evaluate.modes import eval_mode
from convatlas.export.program import quietly
from convatlas.layers import LocalResponseNorm

aten = torch.ops.aten
_SAME = (  # operations that give what they are given, in evaluation mode
    aten.dropout.default,
    aten.feature_dropout.default,
    aten.alpha_dropout.default,
    aten.detach.default,
    aten.alias.default,
    aten.lift_fresh_copy.default,
)


class GraphError(EngineError):
    """A network that can't be rewritten as a graph."""


def traced(order: Order) -> fx.GraphModule:
    """Record what a network does with the example.

    Returns:
        A module from images to logits in float32, without dropout; response norms are modules
        in it. Its tensors are those of the network.

    Raises:
        GraphError: torch.export can't take the network, it has hooks, gives more than one
            tensor, changes others' values in place, or sets types where others are asked for.
    """
    if any(layer._forward_hooks or layer._forward_pre_hooks for layer in order.model.modules()):
        raise GraphError("the network has hooks")
    module = _exported(order)
    graph = module.graph
    for node in list(graph.nodes):
        if node.op == "call_module" or node.target is aten._assert_tensor_metadata.default:
            graph.erase_node(node)  # a check of shapes or types
    for node in list(graph.nodes):
        if _changes(node):
            _change_copy(graph, node)
    _keep_response_norms(module, order.model)
    if order.precision != "float32" and _is_typed(graph):
        raise GraphError("the network sets the type of its values by itself")
    for node in list(graph.nodes):
        if node.target in _SAME:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    graph.eliminate_dead_code()
    return module


def _exported(order: Order) -> fx.GraphModule:
    try:
        with quietly(), eval_mode(order.model), torch.no_grad():
            program = torch.export.export(order.model, (channels_last(order.example),))
            module = program.module()
    except Exception as error:  # it raises errors of a dozen kinds, and InputError of ours
        reason = str(error).strip().partition("\n")[0]
        raise GraphError(f"torch.export can't take it: {reason}") from error
    if not program.call_spec.out_spec.is_leaf():
        raise GraphError("the network gives something else than one tensor")
    output = module.graph.output_node()
    output.args = tuple(output.all_input_nodes)
    module.graph.set_codegen(fx.graph.CodeGen())
    return module


def _changes(node: fx.Node) -> bool:
    """Whether an operation changes what it is given."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def _change_copy(graph: fx.Graph, node: fx.Node) -> None:
    """Let an operation give a new value rather than change one; who reads it later reads that."""
    given = node.args[0]
    name, _, overload = str(node.target).removeprefix("aten.").partition(".")
    target = getattr(getattr(aten, name.removesuffix("_"), None), overload, None)
    if not isinstance(given, fx.Node) or target is None or _may_share(given):
        raise GraphError(f"the network changes values in place, by {name}")
    with graph.inserting_before(node):
        made = graph.call_function(target, node.args, node.kwargs)
    made.meta = node.meta
    node.replace_all_uses_with(made)
    graph.erase_node(node)
    later = set(itertools.takewhile(lambda one: one is not made, reversed(list(graph.nodes))))
    given.replace_all_uses_with(made, delete_user_cb=lambda user: user in later)


def _may_share(node: fx.Node) -> bool:
    """Whether a value may lie in the memory of another one."""
    if node.op != "call_function":
        return True
    schemas = [getattr(one.target, "_schema", None) for one in (node, *node.users)]
    aliased = (result.alias_info for schema in schemas if schema for result in schema.returns)
    return any(info is not None and not info.is_write for info in aliased)


def _is_typed(graph: fx.Graph) -> bool:
    given = (value for node in graph.nodes for value in (*node.args, *node.kwargs.values()))
    return any(isinstance(value, torch.dtype) for value in given)


def _keep_response_norms(module: fx.GraphModule, model: nn.Module) -> None:
    """Put a module in place of the operations of each local response norm."""
    for key, group in itertools.groupby(list(module.graph.nodes), _response_norm):
        nodes = list(group)
        norm = model.get_submodule(key[1]) if key else None
        given = _outer_inputs(nodes)
        if norm is None or len(given) != 1 or given[0].meta["val"].dim() != 4:
            continue
        if isinstance(norm, nn.LocalResponseNorm):
            norm = LocalResponseNorm(norm.size, norm.alpha / norm.size, norm.beta, norm.k)
        replace(module, nodes[-1], copy.deepcopy(norm), given)


def _response_norm(node: fx.Node) -> tuple[str, str] | None:
    """Give the call and the name of the local response norm that an operation is part of."""
    for key, (name, kind) in (node.meta.get("nn_module_stack") or {}).items():
        if str(kind).rpartition(".")[2] == "LocalResponseNorm":
            return key, name
    return None


def _outer_inputs(nodes: list[fx.Node]) -> list[fx.Node]:
    given = (one for node in nodes for one in node.all_input_nodes)
    return list(dict.fromkeys(one for one in given if one not in nodes))


def insert(
    module: fx.GraphModule, node: fx.Node, layer: nn.Module, given: Iterable[Any], name: str = ""
) -> fx.Node:
    """Call a layer after an operation."""
    name = (name or node.name).replace(".", "_")
    while hasattr(module, name):
        name += "_"
    module.add_submodule(name, layer)
    with module.graph.inserting_after(node):
        call = module.graph.call_module(name, tuple(given))
    call.meta["val"] = node.meta["val"]
    return call


def replace(
    module: fx.GraphModule, node: fx.Node, layer: nn.Module, given: Iterable[Any], name: str = ""
) -> None:
    """Put the call of a layer in place of an operation; what only that needed goes too."""
    node.replace_all_uses_with(insert(module, node, layer, given, name))
    erase(node)


def replace_each(module: fx.GraphModule, layer_of: Callable[[fx.Node], nn.Module | None]) -> int:
    """Put layers in place of operations and of other layers; give how many.

    Args:
        module: It is changed.
        layer_of: Gives the layer for a node, called with what that reads; None: it stays.
    """
    count = 0
    for node in list(module.graph.nodes):
        layer = layer_of(node)
        if layer is not None:
            replace(module, node, layer, node.all_input_nodes, node.name)
            count += 1
    module.recompile()
    return count


def erase(node: fx.Node) -> None:
    """Drop an operation that nobody reads, and those that it alone read."""
    given = node.all_input_nodes
    node.graph.erase_node(node)
    for one in given:
        if not one.users and one.op != "placeholder":
            erase(one)


def arguments(node: fx.Node) -> dict[str, Any]:
    """Give the arguments of an operation of torch by name, defaults too."""
    schema = cast("torch._ops.OpOverload", node.target)._schema
    given = dict(zip((one.name for one in schema.arguments), node.args, strict=False))
    defaults = {one.name: one.default_value for one in schema.arguments}
    return defaults | given | dict(node.kwargs)


def only_user(node: fx.Node) -> fx.Node | None:
    """Give the one operation that reads a value; None: there are several, or none."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def shape(node: Any) -> torch.Size:
    """Give the shape of a value."""
    return node.meta["val"].shape


def constant(module: nn.Module, node: Any) -> Tensor | None:
    """Give the tensor of the network that a node stands for."""
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    value: Any = module
    for name in str(node.target).split("."):
        value = getattr(value, name)
    return value.detach()


def is_constant(node: Any) -> bool:
    """Whether a value is a tensor of the network, or is not there at all."""
    return node is None or (isinstance(node, fx.Node) and node.op == "get_attr")


def owned(module: fx.GraphModule, dtype: torch.dtype) -> fx.GraphModule:
    """Copy a rewritten module with what its graph still needs, in the type to compute in."""
    parts: dict[str, Any] = {}
    for node in module.graph.nodes:
        if node.op == "call_module":
            parts[str(node.target)] = module.get_submodule(str(node.target))
        elif node.op == "get_attr":
            value = constant(module, node)
            if value is None:
                raise GraphError(f"{node.target} is no tensor")
            kept = value.to(dtype) if value.is_floating_point() else value
            parts[str(node.target)] = nn.Buffer(kept.clone() if kept is value else kept)
    return fx.GraphModule(parts, module.graph).eval()
