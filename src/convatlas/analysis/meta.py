"""Networks without storage: copies on the meta device, and their quick execution."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.utils._python_dispatch import TorchDispatchMode

from convatlas import catalog
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
    quick = None if kwargs else _QUICK.get(func.overloadpacket)
    output = quick(*args) if quick is not None and _are_floats(args) else None
    return func(*args, **kwargs) if output is None else output


def _are_floats(args: Sequence[Any]) -> bool:
    """Tell whether all tensors are on the meta device and of one floating type."""
    tensors = [a for arg in args for a in (arg if isinstance(arg, (list, tuple)) else (arg,))]
    kinds = {(t.dtype, t.is_meta) for t in tensors if isinstance(t, Tensor)}
    return len(kinds) == 1 and all(dtype.is_floating_point and meta for dtype, meta in kinds)


def _like(x: Tensor) -> Tensor:
    """Make another tensor of this shape; torch's own rule for it is written in Python."""
    return x.new_empty(x.shape) if x.is_contiguous() else torch.empty_like(x)


def _pointwise(*args: Any) -> Tensor | None:
    tensors = [arg for arg in args if isinstance(arg, Tensor)]
    first, shapes = tensors[0], [tensor.shape for tensor in tensors]
    if all(shape == shapes[0] for shape in shapes):
        return _like(first)
    return first.new_empty(torch.broadcast_shapes(*shapes))


def _batch_norm(x: Tensor, *args: Any) -> tuple[Tensor, ...] | None:
    training = args[4]
    return None if training else (_like(x), x.new_empty(0), x.new_empty(0))


def _mean(x: Tensor, dims: Sequence[int] | None = None, keepdim: bool = False) -> Tensor | None:
    if not dims:
        return None
    gone = {dim % x.dim() for dim in dims}
    mean = x.new_empty([1 if axis in gone else size for axis, size in enumerate(x.shape)])
    return mean if keepdim else mean.squeeze(tuple(gone))


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    shape = list(tensors[0].shape)
    dim %= len(shape)
    others = [[*t.shape[:dim], *t.shape[dim + 1 :]] for t in tensors]
    if any(other != others[0] for other in others):
        return None  # torch says what is wrong
    shape[dim] = sum(t.shape[dim] for t in tensors)
    return tensors[0].new_empty(shape)


def _stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    shape = list(tensors[0].shape)
    if any(list(t.shape) != shape for t in tensors):
        return None
    shape.insert(dim % (len(shape) + 1), len(tensors))
    return tensors[0].new_empty(shape)


def _addmm(_bias: Tensor, a: Tensor, b: Tensor) -> Tensor | None:
    return a.new_empty(a.shape[0], b.shape[1]) if a.shape[1] == b.shape[0] else None


def _convolution(
    x: Tensor,
    weight: Tensor,
    _bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _output_padding: Sequence[int],
    groups: int,
) -> Tensor | None:
    sizes, kernel = x.shape[2:], weight.shape[2:]
    if transposed or len(stride) != len(sizes) or x.shape[1] != weight.shape[1] * groups:
        return None
    steps = zip(sizes, kernel, stride, padding, dilation, strict=True)
    out = [(n + 2 * pad - far * (k - 1) - 1) // step + 1 for n, k, step, pad, far in steps]
    return x.new_empty(len(x), len(weight), *out) if min(out) > 0 else None


_QUICK: dict[Any, Callable[..., Any]] = {
    aten.convolution: _convolution,
    aten.native_batch_norm: _batch_norm,
    aten.mean: _mean,
    aten.cat: _cat,
    aten.stack: _stack,
    aten.addmm: _addmm,
} | dict.fromkeys(
    (
        *(aten.relu, aten.sigmoid, aten.tanh, aten.silu, aten.gelu, aten.hardswish),
        *(aten.add, aten.sub, aten.mul, aten.div, aten.pow, aten.neg, aten.clone),
    ),
    _pointwise,
)


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
