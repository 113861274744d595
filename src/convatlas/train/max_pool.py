"""Max pooling that keeps a byte for each output, while a network learns."""

import ctypes
from ctypes import c_long, c_void_p
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.utils import _pair

from convatlas.train.adjacent import Line, adjacent
from convatlas.train.native_code import can_build, can_take, even_rows, native_function, threads
from convatlas.train.relu import Relu, is_plain_relu

_MOST_PLACES = 255  # in a window, that a byte tells apart


@dataclass(frozen=True, slots=True)
class MaxPool:
    """An `nn.MaxPool2d`. torch keeps eight bytes an output, and fills the gradient with zeros.

    Attributes:
        pool: The layer.
        act: The `nn.ReLU` before it, which does nothing meanwhile: behind it there is less to do,
            and outputs and gradients are the same.
        ended: Sequences that it ends.
    """

    pool: Any
    act: Any = None
    ended: Line = ()

    @property
    def hidden(self) -> Line:
        """Modules that give something else meanwhile."""
        return () if self.act is None else (self.act, *self.ended)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        if not can_take(x) or x.numel() == 0 or min(self.size(x)) < 1:
            y = type(self.pool).forward(self.pool, x)
        else:
            y = _MaxPool.apply(x, self)
        return y if self.act is None else Relu(self.act)(y)

    def size(self, x: Tensor) -> tuple[int, ...]:
        """Give H', W'."""
        pool = self.pool
        sides = zip(x.shape[2:], *self.window(), strict=True)
        return tuple(_outputs(*side, pool.ceil_mode) for side in sides)

    def window(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Give size, stride and padding."""
        pool = self.pool
        return _pair(pool.kernel_size), _pair(pool.stride), _pair(pool.padding)


def find_max_pools(model: nn.Module) -> list[MaxPool]:
    """List the max poolings of a network; none where there is no C++ compiler."""
    pairs = list(adjacent(model))
    normed = {act for norm, act, _ in pairs if isinstance(norm, nn.BatchNorm2d)}  # written with it
    acts = {
        pool: (act, ended) for act, pool, ended in pairs if is_plain_relu(act) and act not in normed
    }
    found = [MaxPool(one, *acts.get(one, ())) for one in model.modules() if _is_plain(one)]
    return found if found and can_build("max_pool") and can_build("relu") else []


def _is_plain(pool: nn.Module) -> bool:
    if type(pool) is not nn.MaxPool2d or pool.return_indices or _pair(pool.dilation) != (1, 1):
        return False
    high, wide = _pair(pool.kernel_size)
    fits = all(2 * pad <= side for pad, side in zip(_pair(pool.padding), (high, wide), strict=True))
    return high * wide <= _MOST_PLACES and fits


def _outputs(side: int, size: int, stride: int, padding: int, up: bool) -> int:
    """Count the windows of a side; the last one begins within the maps or their padding above."""
    count = (side + 2 * padding - size + (stride - 1 if up else 0)) // stride + 1
    return count - 1 if up and (count - 1) * stride >= side + padding else count


class _MaxPool(torch.autograd.Function):
    """Keeps which pixel of its window each output was."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pool: MaxPool) -> Tensor:
        """Give the maps, channels last."""
        x = x.contiguous(memory_format=torch.channels_last)
        size = (*x.shape[:2], *pool.size(x))
        last = torch.channels_last
        y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=last)
        taken = torch.empty_like(y, dtype=torch.uint8)
        call = _call(x.shape, y, taken, pool)
        call.x, call.y = x.data_ptr(), y.data_ptr()
        native_function("max_pool", "max_pool_forward")(ctypes.byref(call))
        ctx.save_for_backward(taken)
        ctx.shape, ctx.pool = x.shape, pool
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Give the gradient of x."""
        (taken,) = ctx.saved_tensors
        gradient = even_rows(gradient)
        last, kind = torch.channels_last, gradient.dtype
        result = torch.empty(ctx.shape, dtype=kind, device=gradient.device, memory_format=last)
        call = _call(ctx.shape, gradient, taken, ctx.pool)
        call.given, call.given_row = gradient.data_ptr(), gradient.stride(3)
        call.out = result.data_ptr()
        native_function("max_pool", "max_pool_backward")(ctypes.byref(call))
        return result, None


class _Call(ctypes.Structure):
    """The `PoolCall` of max_pool.cpp."""

    _fields_ = (
        *((name, c_long) for name in ("images", "channels", "height", "width")),
        *((name, c_long) for name in ("out_height", "out_width", "size_y", "size_x")),
        *((name, c_long) for name in ("stride_y", "stride_x", "pad_top", "pad_left")),
        *((name, c_long) for name in ("given_row", "threads", "half")),
        *((name, c_void_p) for name in ("x", "y", "taken", "given", "out", "parallel")),
    )


def _call(shape: torch.Size, y: Tensor, taken: Tensor, pool: MaxPool) -> Any:
    """Fill in what both directions need."""
    sides = [side for both in pool.window() for side in both]
    call: Any = _Call(*shape, *y.shape[2:], *sides)
    call.threads, call.parallel = threads()
    call.half, call.taken = y.dtype == torch.bfloat16, taken.data_ptr()
    return call
