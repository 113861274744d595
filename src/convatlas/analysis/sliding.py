"""What sliding operations do to the receptive field: convolution, pooling, resizing, padding."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from convatlas.analysis.operation import Fields, Operation
from convatlas.analysis.receptive_field import (
    Taps,
    adaptive_window,
    resize_taps,
    transposed_window,
    window,
)


def slide(op: Operation, taps: Sequence[Taps | None]) -> Fields:
    """Slide along the last axes of the input, one entry each; None: all positions become one."""
    x = op.inputs()[0]
    first = x.dim() - len(taps)
    fields = []
    for field in op.fields(x):
        along = None if field.axis is None or field.axis < first else taps[field.axis - first]
        if field.axis is None:
            fields.append(field)
        elif along is None:
            fields.append(field.collapsed(x.shape[field.axis]))
        else:
            fields.append(field.tapped(along))
    return tuple(fields)


def convolution(op: Operation) -> Fields:
    """Convolutions of any number of axes; transposed ones phase by phase."""
    count = op.args[0].dim() - 2
    settings = [each(op.args[i], count) for i in (3, 4, 5)]  # stride, padding, dilation
    make = transposed_window if op.args[6] else window
    kernel = op.args[1].shape[2:]
    return slide(op, [make(*axis) for axis in zip(kernel, *settings, strict=True)])


def pooling(op: Operation) -> Fields:
    """Max and average pooling; one that covers the whole map leaves no map behind."""
    kernel = each(op.args[1], 1)
    count = len(kernel)
    stride = each(op.arg(2, "stride") or kernel, count)
    padding = each(op.arg(3, "padding", 0), count)
    dilation = each(op.arg(4, "dilation", 1) if "max" in op.name else 1, count)
    if kernel == list(op.args[0].shape[-count:]) and not any(padding) and max(kernel) > 1:
        return slide(op, [None] * count)
    axes = zip(kernel, stride, padding, dilation, strict=True)
    return slide(op, [window(*axis) for axis in axes])


def adaptive_pooling(op: Operation) -> Fields:
    """Adaptive pooling: bins of uneven size where the sizes don't divide."""
    out = list(op.args[1])
    if max(out) == 1:
        return slide(op, [None] * len(out))
    sizes = op.args[0].shape[-len(out) :]
    return slide(op, [adaptive_window(*axis) for axis in zip(sizes, out, strict=True)])


def resizing(op: Operation) -> Fields:
    """Upsampling and downsampling by interpolation, as torch places the samples."""
    nearest = "nearest" in op.name
    mode = "nearest" if nearest else "cubic" if "cubic" in op.name else "linear"
    sizes, outs = op.args[0].shape[2:], op.output.shape[2:]
    corners = not nearest and bool(op.arg(2, "align_corners", False))
    taps = []
    for size, out, scale in zip(sizes, outs, _scales(op, len(sizes)), strict=True):
        if corners:
            ratio, offset = Fraction(size - 1, max(out - 1, 1)), Fraction(0)
        else:
            ratio = 1 / Fraction(scale).limit_denominator(1000) if scale else Fraction(size, out)
            offset = Fraction(0) if nearest else (ratio - 1) / 2
        if "exact" in op.name:
            offset = ratio / 2
        taps.append(resize_taps(ratio, offset, mode))
    return slide(op, taps)


def _scales(op: Operation, count: int) -> list[float | None]:
    """Give the scale factors that torch was given; it then does not use the ratio of the sizes."""
    given = [value for value in op.args[2:] if isinstance(value, float)]
    return list(given) if len(given) == count else [None] * count


def pixel_shuffling(op: Operation) -> Fields:
    """Channels to blocks of pixels: `factor` neighbours come from one position."""
    return slide(op, [resize_taps(Fraction(1, op.args[1]), Fraction(0), "nearest")] * 2)


def pixel_unshuffling(op: Operation) -> Fields:
    """Blocks of pixels to channels: a position sees all `factor` neighbours."""
    return slide(op, [window(op.args[1], op.args[1])] * 2)


def padding(op: Operation) -> Fields:
    """Padding or cropping at the edges, whatever the padding is filled with."""
    x, pads = op.args[0], list(op.args[1])
    befores = dict(zip(range(x.dim() - 1, -1, -1), pads[::2], strict=False))
    return tuple(
        field if field.axis is None else field.tapped(window(1, 1, befores.get(field.axis, 0)))
        for field in op.fields(x)
    )


def slicing(op: Operation) -> Fields:
    """Every `step`-th position from `start`."""
    x = op.args[0]
    dim, start = op.arg(1, "dim", 0) % x.dim(), op.arg(2, "start") or 0
    start = max(0, start + x.shape[dim]) if start < 0 else start
    taps = window(1, op.arg(4, "step", 1), -start)
    return tuple(f.tapped(taps) if f.axis == dim else f for f in op.fields(x))


def each(value: Any, count: int) -> list[int]:
    """Give a setting for each of `count` axes; torch takes one number for all."""
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    return values * count if len(values) == 1 else values
