"""torch layer by layer, by oneDNN's own operations: weights laid out once, activations fused in.

torch lays weights out for oneDNN anew at each call, and runs the activation as a pass of its own.
The operations that its compiler uses do neither, and need no compiling.
"""

import contextlib
from collections.abc import Callable, Generator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from convatlas.engines.eager import PreparedModule, channels_last, dtype_of, reshaped
from convatlas.engines.engine import Order, Precision

_NEEDED = ("_convolution_pointwise", "_linear_pointwise", "_reorder_linear_weight")
# what oneDNN can do to a value before it is written, by the module that does it otherwise
_FUSED: dict[type[nn.Module], Callable[[Any], tuple[str, list[float]]]] = {
    nn.ReLU: lambda _: ("relu", []),
    nn.ReLU6: lambda _: ("hardtanh", [0.0, 6.0]),
    nn.SiLU: lambda _: ("swish", []),
    nn.Sigmoid: lambda _: ("sigmoid", []),
    nn.Tanh: lambda _: ("tanh", []),
}


class PackedConv(nn.Module):
    """A convolution whose weights lie as oneDNN reads them, and perhaps an activation."""

    def __init__(self, conv: nn.Conv2d, size: torch.Size, act: nn.Module | None) -> None:
        super().__init__()
        how = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self.padding, self.stride, self.dilation, self.groups = how
        plain = conv.weight.detach().contiguous(memory_format=torch.channels_last)
        self.weight = _kept(torch.ops.mkldnn._reorder_convolution_weight(plain, *how, list(size)))
        self.bias = conv.bias
        self.act, self.scalars = _pointwise(act)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H', W')."""
        how = (self.padding, self.stride, self.dilation, self.groups)
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *how, self.act, self.scalars, ""
        )


class PackedLinear(nn.Module):
    """A linear layer whose weights lie as oneDNN reads them, and perhaps an activation."""

    def __init__(self, linear: nn.Linear, size: torch.Size, act: nn.Module | None) -> None:
        super().__init__()
        plain = linear.weight.detach().contiguous()
        self.weight = _kept(torch.ops.mkldnn._reorder_linear_weight(plain, size[0]))
        self.bias = linear.bias
        self.act, self.scalars = _pointwise(act)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in) -> (N, out)."""
        return torch.ops.mkldnn._linear_pointwise(
            x.contiguous(), self.weight, self.bias, self.act, self.scalars, ""
        )


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
        """Fold the norms, fuse activations, and lay the weights out for the example's shape."""
        module, count = reshaped(order)
        dtype = dtype_of(order.precision)
        sizes = _input_sizes(module, channels_last(order.example.to(dtype)))
        layers = _pack(module, sizes)
        facts = {"norms_folded": count, "packed": layers, "threads": torch.get_num_threads()}
        return PreparedModule(module, dtype, facts)


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
        if type(following) in _FUSED and not following._forward_hooks:
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


def _kept(weight: Tensor) -> nn.Parameter:
    """Let a network that asks its layers for the device of their parameters find it."""
    return nn.Parameter(weight, requires_grad=False)


def _pointwise(act: nn.Module | None) -> tuple[str, list[float]]:
    return ("none", []) if act is None else _FUSED[type(act)](act)
