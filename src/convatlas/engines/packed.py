"""torch layer by layer, by oneDNN's own operations, over the network's graph rewritten for them."""

import contextlib
from collections.abc import Callable, Generator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from convatlas.engines.eager import PreparedModule, channels_last, dtype_of, reshaped
from convatlas.engines.engine import Order, Precision
from convatlas.engines.graph_layers import FUSED, PackedConv, PackedLinear
from convatlas.engines.graph_pieces import rewritten_in_pieces
from convatlas.engines.graph_trace import GraphError

_NEEDED = ("_convolution_pointwise", "_linear_pointwise", "_reorder_linear_weight")


class Packed:
    """What torch's compiler would call for convolutions and linear layers, called at once."""

    name: ClassVar[str] = "packed"
    extra: ClassVar[str] = ""
    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "bfloat16")
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    quick: ClassVar[bool] = True

    def missing(self, precision: Precision) -> str:  # noqa: ARG002
        """Say that this build of torch has no oneDNN, or one without these operations."""
        there = torch.backends.mkldnn.is_available()
        there = there and all(hasattr(torch.ops.mkldnn, name) for name in _NEEDED)
        return "" if there else "the engine packed needs a torch with oneDNN"

    def versions(self) -> dict[str, str]:
        """Torch, which brings oneDNN."""
        return {"torch": torch.__version__}

    def prepare(self, order: Order) -> PreparedModule:
        """Rewrite the network's graph for the example's shape, or where it has none, its layers.

        A batch is run whole or in pieces that suit the processor's cache, whichever is quicker.
        """
        try:
            module, facts = rewritten_in_pieces(order)
        except GraphError as error:
            module, facts = _by_layer(order)
            facts["without_graph"] = str(error)
        facts["threads"] = torch.get_num_threads()
        return PreparedModule(module, dtype_of(order.precision), facts)


def _by_layer(order: Order) -> tuple[nn.Module, dict[str, Any]]:
    """Fold norms, fuse activations and pack layers where neighbours in a chain allow it."""
    module, count = reshaped(order)
    sizes = _input_sizes(module, channels_last(order.example.to(dtype_of(order.precision))))
    return module, {"norms_folded": count, "packed": _pack(module, sizes)}


def _input_sizes(module: nn.Module, x: Tensor) -> dict[nn.Module, torch.Size]:
    """Give the size of what each convolution and linear layer takes; of one that runs, the last."""
    sizes: dict[nn.Module, torch.Size] = {}
    look = _hooked(module, lambda layer, given: sizes.update({layer: given[0].shape}))
    with look, torch.inference_mode():
        module(x)
    return sizes


@contextlib.contextmanager
def _hooked(module: nn.Module, look: Callable[[nn.Module, Any], None]) -> Generator[None]:
    layers = [m for m in module.modules() if type(m) in (nn.Conv2d, nn.Linear)]
    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pack(module: nn.Module, sizes: dict[nn.Module, torch.Size]) -> int:
    """Replace the layers inside a module; give how many."""
    count = 0
    for parent in list(module.modules()):
        chain = type(parent).forward is nn.Sequential.forward
        names = list(parent._modules)
        for i, name in enumerate(names):
            layer = parent._modules[name]
            follower = _follower(parent, names[i + 1 :]) if chain else ""
            act = parent._modules[follower] if follower else None
            packed = None if layer is None else _packed(layer, sizes, act)
            if packed is not None:
                setattr(parent, name, packed)
                count += 1
                if follower:
                    setattr(parent, follower, nn.Identity())
    return count


def _follower(chain: nn.Module, names: list[str]) -> str:
    """Name the activation that follows at once in a chain; empty: there is none."""
    for name in names:
        following = chain.get_submodule(name)
        if type(following) in FUSED and not following._forward_hooks:
            return name
        if not isinstance(following, nn.Identity):
            return ""
    return ""


def _packed(
    layer: nn.Module, sizes: dict[nn.Module, torch.Size], act: nn.Module | None
) -> nn.Module | None:
    size = sizes.get(layer)
    if size is None or layer._forward_hooks:
        return None
    if type(layer) is nn.Conv2d and layer.padding_mode == "zeros" and layer.padding != "same":
        return PackedConv(layer, size, act)
    if type(layer) is nn.Linear and len(size) == 2:
        return PackedLinear(layer, size, act)
    return None
