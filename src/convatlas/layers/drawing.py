"""First weights: the draws that several papers share, and none where there is no storage."""

import functools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_DRAWING = {name for name in dir(nn.init) if name.endswith("_") and name[0] != "_"} | {
    *("bernoulli_", "erfinv_", "fill_", "random_", "zero_")
}


def he_normal_(conv: nn.Conv2d) -> None:
    """Draw from N(0, 2 / (k k c_out)), the fan-out form of He et al. 2015 (1502.01852, eq. 14).

    The authors' code (facebook/fb.resnet.torch) takes c_out whole for grouped convolutions too.
    """
    fan_out = conv.out_channels * math.prod(conv.kernel_size)
    nn.init.normal_(conv.weight, 0.0, math.sqrt(2.0 / fan_out))


def he_fan_in_(layer: nn.Conv2d | nn.Linear) -> None:
    """Draw from N(0, 2 / inputs of a unit), the fan-in form of He et al. 2015 (eq. 10)."""
    nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")


def glorot_uniform_(layer: nn.Conv2d | nn.Linear) -> None:
    """Draw uniformly in +-sqrt(6 / (inputs + outputs of a unit)) (Glorot & Bengio 2010, eq. 16)."""
    nn.init.xavier_uniform_(layer.weight)


def caffe_xavier_(layer: nn.Conv2d | nn.Linear) -> None:
    """Draw what Caffe's filler "xavier" does: uniform in +-sqrt(3 / inputs of a unit)."""
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="linear")


def truncated_normal_(layer: nn.Conv2d | nn.Linear, std: float) -> None:
    """Draw from N(0, std^2) without what lies beyond two standard deviations.

    By the inverse of the distribution; `nn.init.trunc_normal_` draws a layer again and again.
    """
    share = math.erf(2 / math.sqrt(2))  # of a normal distribution that lies within
    nn.init.uniform_(layer.weight, -share, share)
    with torch.no_grad():
        layer.weight.erfinv_().mul_(math.sqrt(2) * std)


def fill_bias_(layer: nn.Module, value: float = 0.0) -> None:
    """Let the biases of a layer, if it has any, start from one value."""
    if isinstance(layer.bias, Tensor):
        nn.init.constant_(layer.bias, value)


def torch_bias_(layer: nn.Conv2d | nn.Linear) -> None:
    """Draw biases as torch does: uniform in +-1 / sqrt(inputs of a unit)."""
    if layer.bias is not None:
        bound = 1 / math.sqrt(layer.weight[0].numel())
        nn.init.uniform_(layer.bias, -bound, bound)


def draw_layers(
    net: nn.Module, conv: Callable[[Any], None], linear: Callable[[Any], None] | None = None
) -> None:
    """Draw all weights of a net, in place and in the order of its modules; biases become 0.

    Args:
        net: Its batch norms start from 1 and 0.
        conv: Draws the weights of one convolution.
        linear: Draws the weights of one linear layer; None: as torch does.
    """
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Conv2d | nn.Linear):
            draw = conv if isinstance(module, nn.Conv2d) else linear
            if draw is None:
                module.reset_parameters()
            else:
                draw(module)
            fill_bias_(module)


Init = TypeVar("Init", bound=Callable[..., None])


def drawn_once(init: Init) -> Init:
    """Let the `__init__` of a network end with its `reset_parameters`, and draw nothing before.

    torch draws each layer when it builds it, which takes as long as the draw that then counts.
    """

    @functools.wraps(init)
    def drawn(self: Any, *args: Any, **kwargs: Any) -> None:
        with _Undrawn():
            init(self, *args, **kwargs)
        self.reset_parameters()

    return cast(Init, drawn)


def undrawn_on_meta() -> AbstractContextManager:
    """Leave out, inside, all drawing of weights if tensors are made on the meta device.

    There it changes nothing, takes most of the time that a network is built in, and makes torch
    import its compiler.
    """
    return _Undrawn() if torch.get_default_device().type == "meta" else nullcontext()


class _Undrawn(TorchFunctionMode):
    """Gives back the tensor that was to be drawn, as it is; runs everything else."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict | None = None
    ) -> Any:
        """Run one function of torch."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _DRAWING:
            tensor = args[0] if args else kwargs.get("tensor")
            if isinstance(tensor, Tensor):
                return tensor
        return func(*args, **kwargs)
