"""What the other operations do to the receptive field: point by point, reshaping, reducing."""

from collections.abc import Sequence

import torch
from torch import Tensor

from convatlas.analysis.operation import Fields, Operation, collapse, merged
from convatlas.analysis.receptive_field import Field
from convatlas.analysis.sliding import each


def everything(op: Operation) -> Fields:
    """Each value depends on all values of all inputs: the rule of the unknown."""
    return merged([collapse(op.fields(t), t.shape) for t in op.inputs()], op.output.shape)


def pointwise(op: Operation) -> Fields:
    """Value by value, with broadcasting: what the aligned values see together."""
    shape = op.output.shape
    return merged([_aligned(op.fields(t), t.shape, shape) for t in op.inputs()], shape)


def _aligned(fields: Fields, old: Sequence[int], new: Sequence[int]) -> Fields:
    shift = len(new) - len(old)
    places = {
        axis: axis + shift
        for axis in range(len(old))
        if axis + shift >= 0 and old[axis] == new[axis + shift]
    }
    return _placed(fields, old, places)


def _placed(fields: Fields, shape: Sequence[int], places: dict[int, int]) -> Fields:
    """Move axes to their places; what moved along an axis without a place is seen whole."""
    fields = collapse(fields, shape, [axis for axis in range(len(shape)) if axis not in places])
    return tuple(f if f.axis is None else f.moved(places[f.axis]) for f in fields)


def concatenating(op: Operation) -> Fields:
    """Side by side along one axis; what moved along that axis is seen whole."""
    dim = op.arg(1, "dim", 0) % op.output.dim()
    parts = [collapse(op.fields(t), t.shape, (dim,)) for t in op.inputs()]
    return merged(parts, op.output.shape)


def stacking(op: Operation) -> Fields:
    """Side by side along a new axis."""
    dim = op.arg(1, "dim", 0) % op.output.dim()
    parts = [
        tuple(f if f.axis is None else f.moved(f.axis + (f.axis >= dim)) for f in op.fields(t))
        for t in op.inputs()
    ]
    return merged(parts, op.output.shape)


def splitting(op: Operation) -> Fields:
    """Pieces along one axis; what moved along that axis is seen whole."""
    x = op.args[0]
    return collapse(op.fields(x), x.shape, (op.arg(2, "dim", 0) % x.dim(),))


def indexing(op: Operation) -> Fields:
    """Chosen positions of one axis, in any order."""
    x, indices = op.args[0], op.args[1]
    used = [axis for axis, index in enumerate(indices) if index is not None]
    if len(used) != 1 or op.output.dim() != x.dim():
        return everything(op)
    return collapse(op.fields(x), x.shape, used)


def viewing(op: Operation) -> Fields:
    """Another shape of the same values: what moves along an axis that is kept moves on."""
    x = op.inputs()[0]
    return _placed(op.fields(x), x.shape, kept_axes(x.shape, op.output.shape))


def kept_axes(old: Sequence[int], new: Sequence[int]) -> dict[int, int]:
    """Tell which axes of a tensor live on in a reshaped one, and where.

    >>> kept_axes((1, 96, 55, 54), (1, 2, 48, 55, 54))
    {3: 4, 2: 3, 0: 0}
    """
    kept: dict[int, int] = {}
    end, stop = len(old), len(new)
    while end and stop and old[end - 1] == new[stop - 1]:
        end, stop = end - 1, stop - 1
        kept[end] = stop
    for olds, news in _groups(old[:end], new[:stop]):
        wide = [axis for axis in olds if old[axis] > 1] or olds
        fits = [axis for axis in news if new[axis] > 1] or news
        if len(wide) == len(fits) == 1:
            kept[wide[0]] = fits[0]
    return kept


def _groups(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Cut two shapes of equal size, from the left, into the smallest parts of equal size."""
    groups, i, j = [], 0, 0
    while i < len(old) and j < len(new):
        olds, news, a, b = [i], [j], old[i], new[j]
        while a != b:
            if a < b:
                olds.append(olds[-1] + 1)
                a *= old[olds[-1]]
            else:
                news.append(news[-1] + 1)
                b *= new[news[-1]]
        groups.append((olds, news))
        i, j = olds[-1] + 1, news[-1] + 1
    return groups


def permuting(op: Operation) -> Fields:
    """Axes in another order."""
    x = op.args[0]
    order = list(range(x.dim()))
    if op.name == "permute":
        order = [dim % x.dim() for dim in op.args[1]]
    elif x.dim() > 1:
        a, b = op.args[1:3] if op.name == "transpose" else (0, 1)
        order[a], order[b] = order[b], order[a]
    return _placed(op.fields(x), x.shape, {old: new for new, old in enumerate(order)})


def selecting(op: Operation) -> Fields:
    """One position of an axis, which goes."""
    x, dim = op.args[0], op.args[1] % op.args[0].dim()
    fields = []
    for field in op.fields(x):
        if field.axis == dim:
            fields.append(Field(None, None, field.interval(op.args[2] % x.shape[dim])))
        elif field.axis is None or field.axis < dim:
            fields.append(field)
        else:
            fields.append(field.moved(field.axis - 1))
    return tuple(fields)


def unbinding(op: Operation) -> Fields:
    """All positions of an axis, which goes, one by one."""
    x = op.args[0]
    return _without(op.fields(x), x.shape, {op.arg(1, "dim", 0) % x.dim()})


def reducing(op: Operation) -> Fields:
    """Averaged, summed, ... over some axes, which are kept with size 1 or go."""
    x, dims = op.args[0], op.arg(1, "dim")
    if dims is None or isinstance(dims, torch.dtype) or dims == []:
        return collapse(op.fields(x), x.shape)
    gone = {dim % x.dim() for dim in each(dims, 1)}
    if op.output.dim() == x.dim():
        return collapse(op.fields(x), x.shape, list(gone))
    return _without(op.fields(x), x.shape, gone)


def _without(fields: Fields, shape: Sequence[int], gone: set[int]) -> Fields:
    left = [axis for axis in range(len(shape)) if axis not in gone]
    return _placed(fields, shape, {old: new for new, old in enumerate(left)})


def mixing(op: Operation) -> Fields:
    """Normalised by statistics of the map, or a softmax along it: each value sees its extent."""
    x = op.inputs()[0]
    axes = list(range(x.dim()))
    if "softmax" in op.name:
        axes = [op.args[1] % x.dim()]
    elif op.name == "native_layer_norm":
        axes = axes[-len(op.args[1]) :]
    return tuple(
        f if f.axis is None or f.axis not in axes else f.blurred(x.shape[f.axis])
        for f in op.fields(x)
    )


def batch_norm(op: Operation) -> Fields:
    """Value by value with stored statistics, else mixing."""
    stored = "no_training" in op.name or op.arg(5, "training") is False
    return pointwise(op) if stored else mixing(op)


def multiplying(op: Operation) -> Fields:
    """A product of matrices: rows and columns stay, what is summed over is seen whole."""
    operands = [arg for arg in op.args if isinstance(arg, Tensor)][-2:]
    parts = []
    for operand, summed in zip(operands, (-1, -2), strict=True):
        if op.seen(operand):
            axis = operand.dim() + max(summed, -operand.dim())
            parts.append(collapse(op.fields(operand), operand.shape, (axis,)))
    others = [t for t in op.inputs() if not any(t is operand for operand in operands)]
    parts += [collapse(op.fields(t), t.shape) for t in others]
    return merged(parts, op.output.shape)
