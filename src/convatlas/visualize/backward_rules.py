"""Other rules of how a gradient passes an activation: what guided backprop and deconvnet share.

Networks are made of modules, of functions (`torch.relu(x)`) and of operations in place; a hook
sees only modules. So activations are caught where all of them end, in the functions of torch.

At f = ReLU with output f_l and the signal R from above, Springenberg et al. 2014, figure 1:

    gradient:   R_l = 1[f_l > 0] R
    deconvnet:  R_l = max(R, 0)
    guided:     R_l = 1[f_l > 0] max(R, 0)

The papers know ReLU only. An activation with another slope f' (tanh, SiLU, ...) gets the rule
with f' in the place of 1[f_l > 0], which is the slope of ReLU.
"""

import contextlib
from collections.abc import Callable, Generator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from convatlas.errors import InputError

Rule = Literal["guided", "deconvnet"]

F = nn.functional
# the sigmoid is not here: networks use it as a gate, not as an activation of maps
_OUT_OF_PLACE: dict[Any, Callable[..., Tensor]] = {
    function: plain
    for plain, functions in {
        torch.relu: (torch.relu, F.relu, Tensor.relu),
        torch.tanh: (torch.tanh, Tensor.tanh),
        F.relu6: (F.relu6,),
        F.hardtanh: (F.hardtanh,),
        F.leaky_relu: (F.leaky_relu,),
        F.prelu: (F.prelu, torch.prelu),
        F.elu: (F.elu,),
        F.selu: (F.selu, torch.selu),
        F.celu: (F.celu, torch.celu),
        F.gelu: (F.gelu,),
        F.silu: (F.silu,),
        F.mish: (F.mish,),
        F.hardswish: (F.hardswish,),
        F.softplus: (F.softplus,),
    }.items()
    for function in functions
}
_IN_PLACE: dict[Any, Callable[..., Tensor]] = {
    torch.relu_: torch.relu,
    Tensor.relu_: torch.relu,
    torch.tanh_: torch.tanh,
    Tensor.tanh_: torch.tanh,
    F.leaky_relu_: F.leaky_relu,
    F.elu_: F.elu,
    torch.selu_: F.selu,
    torch.celu_: F.celu,
    F.hardtanh_: F.hardtanh,
}
_CLAMPS = {torch.clamp, torch.clip, Tensor.clamp, Tensor.clip}
_CLAMPS_BELOW = {torch.clamp_min, Tensor.clamp_min}


@contextlib.contextmanager
def ruled(model: nn.Module, rule: Rule, *, skip_norm: bool = False) -> Generator[None]:
    """Let activations that `model` runs inside it pass signals by `rule`, also later.

    The backward pass itself belongs outside.

    Args:
        model: Named in the error.
        rule: At each activation.
        skip_norm: Local response normalization passes the signal as it is.

    Raises:
        InputError: At the end: no activation was seen, so what was computed is a plain gradient.
    """
    with _Activations(rule, skip_norm) as seen:
        yield
    if not seen.count:
        raise InputError(
            f"{rule} changes how signals pass activations (ReLU, tanh, SiLU, ...), and in "
            f"{type(model).__name__} none was seen: it has none, or it is compiled or scripted"
        )


class _Activations(TorchFunctionMode):
    """Put an activation with the rule's backward pass in the place of each one that is called."""

    def __init__(self, rule: Rule, skip_norm: bool) -> None:
        super().__init__()
        self.rule, self.skip_norm, self.count = rule, skip_norm, 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func`, or what stands for it."""
        kwargs = dict(kwargs or {})
        plain = _plain(func, args, kwargs)
        if plain is not None:
            self.count += 1
            in_place = func in _IN_PLACE or kwargs.pop("inplace", False)
            x, *rest = args if args else (kwargs.pop("input"),)
            source = x.clone() if in_place else x
            y = _Ruled.apply(source, plain, self.rule, rest, kwargs)
            # a network may read the changed tensor under its first name too
            return x.copy_(y) if in_place else y
        if self.skip_norm and func is F.local_response_norm:
            return _straight(args[0], func(*args, **kwargs))
        return func(*args, **kwargs)


class _Ruled(torch.autograd.Function):
    """An activation whose backward pass follows the rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, plain: Any, rule: Rule, args: Any, kwargs: Any) -> Tensor:
        ctx.save_for_backward(x)
        ctx.plain, ctx.rule, ctx.rest = plain, rule, (args, kwargs)
        return plain(x, *args, **kwargs)

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor | None, ...]:
        signal = signals[0].clamp(min=0)
        if ctx.rule == "guided":
            args, kwargs = ctx.rest
            with torch.enable_grad():
                x = ctx.saved_tensors[0].detach().requires_grad_()
                signal = torch.autograd.grad(ctx.plain(x, *args, **kwargs), x, signal)[0]
        return signal, None, None, None, None


def _plain(func: Any, args: tuple, kwargs: dict[str, Any]) -> Callable[..., Tensor] | None:
    """Give the activation without effect in place that `func` is, if it is one."""
    if func in _CLAMPS or func in _CLAMPS_BELOW:
        bounds = dict(zip(("min", "max"), args[1:], strict=False)) | kwargs
        return _relu_by_clamp if bounds in ({"min": 0}, {"min": 0, "max": None}) else None
    return _IN_PLACE.get(func) or _OUT_OF_PLACE.get(func)


def _relu_by_clamp(x: Tensor, *_: Any, **__: Any) -> Tensor:
    return torch.relu(x)


def _straight(x: Tensor, y: Tensor) -> Tensor:
    """Give the values of `y` with the gradient of `x`."""
    return x + (y - x).detach()
