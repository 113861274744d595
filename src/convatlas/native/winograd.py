"""Calls of winograd.cpp and winograd_gradient.cpp, on tensors whose channels lie last.

Lavin & Gray 2016, https://arxiv.org/abs/1509.09308. Sizes are checked by those who call.
"""

import ctypes
import functools
from ctypes import POINTER, c_long, c_void_p

import torch
from torch import Tensor

from convatlas.native.build import FOLDER, can_build, library, openmp
from convatlas.native.maps import Call, Maps, padded, run_layer

_SOURCE, _GRADIENT = FOLDER / "winograd.cpp", FOLDER / "winograd_gradient.cpp"


class _Filters(ctypes.Structure):
    _fields_ = (
        ("data", c_void_p),
        *((name, c_long) for name in ("map", "channel", "row", "column")),
    )


class Layer(ctypes.Structure):
    """A convolution: its weights, and how it is computed."""

    _fields_ = (
        ("weights", c_void_p),
        ("bias", c_void_p),
        *((name, c_long) for name in ("channels", "maps", "pad_top", "pad_left", "tile")),
        *((name, c_long) for name in ("block", "together", "activation", "threads", "halves")),
    )


class _GradientCall(ctypes.Structure):
    _fields_ = (
        *((name, c_long) for name in ("images", "height", "width", "out_height", "out_width")),
        *((name, c_long) for name in ("channels", "maps", "pad_top", "pad_left")),
        *((name, c_long) for name in ("threads", "halves")),
        *((name, Maps) for name in ("input", "given")),
        ("weights", _Filters),
    )


def can_learn() -> bool:
    """Say whether convolutions and their gradients are there, or can be built."""
    return can_build(_SOURCE) and can_build(_GRADIENT)


def convolve(layer: Layer, x: Tensor, y: Tensor, added: Tensor | None = None) -> None:
    """Convolve maps (N, channels, H, W) into (N, maps, H', W'), and add others to them.

    Raises:
        MemoryError: There is none left for a block of tiles.
    """
    run_layer(entry(), layer, Call.of(x, y, added))


def transformed_size(weight: Tensor, tile: int) -> int:
    """Count the floats of transformed filters."""
    maps, channels, taps = weight.shape[:3]
    return (tile + taps - 1) ** 2 * channels * padded(maps, lanes())


def transform(weight: Tensor, found: Tensor, tile: int, *, turned: bool = False) -> None:
    """Transform filters as `convolve` takes them.

    Args:
        weight: (maps, channels, T, T), float32.
        found: Floats, as many as `transformed_size` says.
        tile: As in `Plan`.
        turned: By half a turn, as gradients take them on the way back; one whose maps and channels
            have changed places, `weight.transpose(0, 1)`, is given then.
    """
    map_, channel, row, column = weight.stride()
    maps, channels, taps = weight.shape[:3]
    first = weight.data_ptr()
    if turned:
        first += (taps - 1) * (row + column) * weight.element_size()
        row, column = -row, -column
    filters = _Filters(first, map_, channel, row, column)
    how = (maps, channels, tile, torch.get_num_threads(), openmp())
    _code().winograd_weights(filters, found.data_ptr(), *how)


def filter_gradient(x: Tensor, given: Tensor, found: Tensor, padding: tuple[int, ...]) -> None:
    """Write the gradient of 3x3 filters.

    Args:
        x: What was convolved, (N, channels, H, W), float32 or bfloat16.
        given: The gradient of what came out, (N, maps, H', W'), of the same type.
        found: Where to, (maps, channels, 3, 3), float32; without images there is nothing to write.
        padding: Rows above, columns at the left.

    Raises:
        MemoryError: There is none left for a block of tiles.
    """
    sizes = (len(x), *x.shape[2:], *given.shape[2:], x.shape[1], given.shape[1], *padding)
    how = (torch.get_num_threads(), x.dtype == torch.bfloat16)
    filters = _Filters(found.data_ptr(), *found.stride())
    call = _GradientCall(*sizes, *how, Maps.of(x), Maps.of(given), filters)
    if _gradient_code().winograd_gradient(call, openmp()):
        raise MemoryError("the gradient of a convolution found no memory for its tiles")


def lanes() -> int:
    """Give how many floats a vector of this processor has."""
    return _code().winograd_lanes()


@functools.cache
def entry() -> c_void_p:
    """Give where the code of `convolve` begins."""
    return ctypes.cast(_code().winograd_run, c_void_p)


@functools.cache
def _code() -> ctypes.CDLL:
    code = library(_SOURCE)
    how = [*[c_long] * 4, c_void_p]
    code.winograd_weights.argtypes = (POINTER(_Filters), c_void_p, *how)
    code.winograd_weights.restype = None
    return code


@functools.cache
def _gradient_code() -> ctypes.CDLL:
    code = library(_GRADIENT)
    code.winograd_gradient.argtypes = (POINTER(_GradientCall), c_void_p)
    return code
