"""Memory for the outputs of layers, used again by the next that needs as much."""

import ctypes
import mmap
import threading
import weakref
from typing import Any

import torch
from torch import Tensor

_LEAST_BYTES = 2**18  # smaller ones the C library keeps by itself
_STEP = 2**16


class Arena:
    """Blocks that stay with their owner when a tensor is gone, and serve the next one.

    A block is free only when no tensor and no view refers to it any more: what a caller holds is
    never written to. The C library would give large blocks back to the system, and get them page
    by page each time. A copy of an arena begins with nothing.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._free: list[mmap.mmap] = []
        # of one thread several times: the last reference may go while a block is looked for
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Arena, ()

    def images(self, shape: tuple[int, int, int, int], dtype: torch.dtype) -> Tensor:
        """Give (N, C, H, W) with the channels last; what is in it is open."""
        count, maps, height, width = shape
        size = dtype.itemsize * count * maps * height * width
        if size < _LEAST_BYTES:
            return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)
        block = self._block(size)
        lease = (ctypes.c_char * size).from_buffer(block)
        weakref.finalize(lease, self._give_back, block).atexit = False
        flat = torch.frombuffer(lease, dtype=dtype)
        return flat.as_strided(shape, (maps * height * width, 1, maps * width, maps))

    def bytes_free(self) -> int:
        """Tell how much waits for the next tensor."""
        with self._lock:
            return sum(len(block) for block in self._free)

    def _block(self, size: int) -> mmap.mmap:
        """Take the smallest free block that is large enough, or a new one."""
        with self._lock:
            fitting = [block for block in self._free if len(block) >= size]
            if fitting:
                block = min(fitting, key=len)
                self._free.remove(block)
                return block
        return _in_large_pages(size)

    def _give_back(self, block: mmap.mmap) -> None:
        with self._lock:
            self._free.append(block)


def floats(count: int) -> Tensor:
    """Give so many of float32 in one row, in large pages where the system has them.

    Weights that are read from end to end need fewer addresses translated so.
    """
    return torch.frombuffer(_in_large_pages(4 * count), dtype=torch.float32, count=count)


def _in_large_pages(size: int) -> mmap.mmap:
    block = mmap.mmap(-1, -(-size // _STEP) * _STEP)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return block
