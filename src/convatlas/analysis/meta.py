"""Networks without storage: copies on the meta device, and their quick execution."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.utils._python_dispatch import TorchDispatchMode

from convatlas import catalog
from convatlas.analysis.quick_shapes import QUICK
from convatlas.errors import InputError

aten = torch.ops.aten


def build_on_meta(name: str, **arguments: Any) -> nn.Module:
    """Build a network of the catalog on the meta device, in eval mode: nothing is allocated.

    Args:
        name: As for `catalog.build`.
        arguments: As for `catalog.build`.
    """
    return catalog.build_meta(name, **arguments).eval()


def meta_copy(model: nn.Module) -> nn.Module:
    """Copy a model to the meta device, in eval mode and without its hooks.

    The model is left as it was, wherever its parameters are; none of them is copied.

    Raises:
        InputError: The model has parameters without a shape, is TorchScript or can't be copied.
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    if isinstance(model, torch.jit.ScriptModule):
        raise InputError("TorchScript hides its layers: give the model that it was made from")
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        if isinstance(parameter, UninitializedParameter):
            raise InputError("the model has lazy layers without a shape yet: run it once before")
        shape = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(shape, requires_grad=parameter.requires_grad)
    for module in model.modules():
        for value in (*module.buffers(recurse=False), *vars(module).values()):
            if isinstance(value, Tensor) and id(value) not in memo:
                memo[id(value)] = torch.empty_like(value, device="meta")
    try:
        twin = copy.deepcopy(model, memo)
    except (TypeError, RuntimeError) as error:
        raise InputError(f"{type(model).__name__} can't be copied: {error}") from error
    for module in twin.modules():
        module._forward_hooks.clear()  # a user's hook must not see these tensors
    return twin.eval()


class MetaMode(TorchDispatchMode):
    """Runs operations on the meta device, the frequent ones without torch's slow Python rules."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from importing its compiler, which takes seconds, only to keep it out."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict | None = None
    ) -> Any:
        """Run one operation."""
        with torch._C.DisableTorchFunction():  # else each look at a shape asks for the device
            return run(func, args, kwargs or {})


def run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run one operation on meta tensors.

    The shape of the frequent ones is known without torch's own rules, which are slow, and the
    first of which imports torch's compiler, for seconds.
    """
    quick = None if kwargs else QUICK.get(func.overloadpacket)
    output = quick(*args) if quick is not None and _are_floats(args) else None
    return func(*args, **kwargs) if output is None else output


def _are_floats(args: Sequence[Any]) -> bool:
    """Tell whether all tensors are on the meta device and of one floating type."""
    tensors = [a for arg in args for a in (arg if isinstance(arg, (list, tuple)) else (arg,))]
    kinds = {(t.dtype, t.is_meta) for t in tensors if isinstance(t, Tensor)}
    return len(kinds) == 1 and all(dtype.is_floating_point and meta for dtype, meta in kinds)


def images(model: nn.Module, input_shape: tuple[int, ...]) -> Tensor:
    """Give one input for a model on the meta device, (1, *input_shape), of its weights' type."""
    kinds = (p.dtype for p in model.parameters() if p.is_floating_point())
    return torch.empty(1, *input_shape, dtype=next(kinds, torch.float32), device="meta")


def smallest_square(model: nn.Module, input_shape: tuple[int, ...]) -> int | None:
    """Find the least height and width of a square image that a model on the meta device takes.

    Every size up to that of `input_shape` is tried; None: it takes no images, or none of them.
    """
    if len(input_shape) != 3:
        return None
    for size in range(1, max(input_shape[1:]) + 1):
        try:
            with torch.no_grad(), torch.device("meta"), MetaMode():
                model(images(model, (input_shape[0], size, size)))
        except (RuntimeError, ValueError, IndexError, ZeroDivisionError):
            continue
        return size
    return None
