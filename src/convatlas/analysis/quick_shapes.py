"""Shapes of the frequent operations, without torch's own rules.

Those are written in Python and slow, and the first of them imports torch's compiler, for a second.
A rule here gives meta tensors, or None where torch has to give them or to say what is wrong.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


def _like(x: Tensor) -> Tensor:
    """Make another tensor of this shape; torch's own rule for it is written in Python."""
    return x.new_empty(x.shape) if x.is_contiguous() else torch.empty_like(x)


def _pointwise(*args: Any) -> Tensor | None:
    tensors = [arg for arg in args if isinstance(arg, Tensor)]
    first, shapes = tensors[0], [tensor.shape for tensor in tensors]
    if all(shape == shapes[0] for shape in shapes):
        return _like(first)
    shape = _broadcast(shapes)
    return None if shape is None else first.new_empty(shape)


def _broadcast(shapes: Sequence[Sequence[int]]) -> list[int] | None:
    """Give the common shape; None where there is none. torch's own rule imports its compiler."""
    rank = max(map(len, shapes))
    columns = zip(*([1] * (rank - len(shape)) + list(shape) for shape in shapes), strict=True)
    sizes = [set(column) - {1} or {1} for column in columns]
    return [size.pop() for size in sizes] if all(len(size) == 1 for size in sizes) else None


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
    more: Sequence[int],
    groups: int,
) -> Tensor | None:
    sizes, kernel = x.shape[2:], weight.shape[2:]
    taken = weight.shape[0] if transposed else weight.shape[1] * groups
    if len(stride) != len(sizes) or x.shape[1] != taken:
        return None
    steps = zip(sizes, kernel, stride, padding, dilation, more, strict=True)
    if transposed:
        maps = weight.shape[1] * groups
        out = [(n - 1) * s - 2 * pad + far * (k - 1) + add + 1 for n, k, s, pad, far, add in steps]
    else:
        maps = len(weight)
        out = [(n + 2 * pad - far * (k - 1) - 1) // s + 1 for n, k, s, pad, far, _ in steps]
    return x.new_empty(len(x), maps, *out) if min(out) > 0 else None


def _pooled(x: Tensor, kernel: Sequence[int], *how: Any) -> list[int] | None:
    """Give the shape that sliding windows leave; None where torch has to say what is wrong.

    Args:
        x: Maps.
        kernel: Along each spatial axis, or one for all.
        how: stride (empty: the kernel's), padding, and whether the number of windows is rounded up.
    """
    stride, padding, ceil = how
    axes = range(-3 if len(kernel) == 3 else -2, 0)
    each = [_along(axes, sizes) for sizes in (kernel, padding, stride or kernel)]
    shape = list(x.shape)
    for axis, k, pad, step in zip(axes, *each, strict=True):
        size = shape[axis]
        whole = size + 2 * pad - k
        count = (whole + (step - 1 if ceil else 0)) // step + 1
        if ceil and (count - 1) * step >= size + pad:
            count -= 1  # the last window would begin in the padding
        if whole < 0 or 2 * pad > k or count < 1:
            return None
        shape[axis] = count
    return shape


def _along(axes: Sequence[int], sizes: Sequence[int]) -> list[int]:
    return list(sizes) * len(axes) if len(sizes) == 1 else list(sizes)


def _max_pool(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil: bool = False,
) -> tuple[Tensor, Tensor] | None:
    shape = _pooled(x, kernel, stride, padding, ceil) if set(dilation) == {1} else None
    return None if shape is None else (x.new_empty(shape), x.new_empty(shape, dtype=torch.int64))


def _avg_pool(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil: bool = False,
    *_: Any,
) -> Tensor | None:
    shape = _pooled(x, kernel, stride, padding, ceil)
    return None if shape is None else x.new_empty(shape)


def _adaptive_pool(x: Tensor, size: Sequence[int]) -> Tensor | None:
    return x.new_empty([*x.shape[:-2], *size]) if len(size) == 2 and min(size) > 0 else None


QUICK: dict[Any, Callable[..., Any]] = {
    aten.convolution: _convolution,
    aten.max_pool2d_with_indices: _max_pool,
    aten.avg_pool2d: _avg_pool,
    aten.avg_pool3d: _avg_pool,
    aten._adaptive_avg_pool2d: _adaptive_pool,
    aten.native_batch_norm: _batch_norm,
    aten.mean: _mean,
    aten.sum: _mean,
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
