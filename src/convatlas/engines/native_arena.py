"""Memory for the outputs of layers, used again by the next that needs as much."""

import contextlib
import ctypes
import mmap
import threading
import weakref
from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

_LEAST_BYTES = 2**18  # smaller ones the C library keeps by itself
_STEP = 2**16
_LARGE_PAGE = 2**21
_CHUNK_BYTES = 2**23
_LINE = 64  # bytes: pieces begin at whole lines of a cache


class Arena:
    """Blocks that stay with their owner when a tensor is gone, and serve the next one.

    A block is free only when no tensor and no view refers to it any more: what a caller holds is
    never written to. The C library would give large blocks back to the system, and get them page
    by page each time. A copy of an arena begins with nothing.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._free: list[memoryview] = []
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

    def _block(self, size: int) -> memoryview:
        """Take the smallest free block that is large enough, or a new one."""
        with self._lock:
            fitting = [i for i, block in enumerate(self._free) if len(block) >= size]
            if fitting:
                return self._free.pop(min(fitting, key=lambda i: len(self._free[i])))
        return _pages(size)

    def _give_back(self, block: memoryview) -> None:
        with self._lock:
            self._free.append(block)


class _Chunk:
    """Memory from which pieces are cut off; it goes when nobody holds one of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rest = memoryview(b"")

    def cut(self, size: int) -> memoryview:
        """Give the next bytes."""
        size = -(-size // _LINE) * _LINE
        with self._lock:
            if size > len(self._rest):
                self._rest = _pages(max(size, _CHUNK_BYTES))
            found, self._rest = self._rest[:size], self._rest[size:]
        return found


class _Kept(threading.local):
    def __init__(self) -> None:
        self.chunk = _Chunk()


_kept = _Kept()


@contextlib.contextmanager
def apart() -> Generator[None]:
    """Give what `floats` are asked for inside the block memory that goes with it."""
    before, _kept.chunk = _kept.chunk, _Chunk()
    try:
        yield
    finally:
        _kept.chunk = before


def floats(count: int) -> Tensor:
    """Give so many of float32 in one row, in large pages where the system has them.

    Weights that are read from end to end need fewer addresses translated so.
    """
    if count == 0:
        return torch.empty(0)
    return torch.frombuffer(_kept.chunk.cut(4 * count), dtype=torch.float32, count=count)


def in_large_pages(x: Tensor) -> Tensor:
    """Copy a tensor to where `floats` are."""
    kept = floats(-(-x.numel() * x.element_size() // 4)).view(x.dtype)
    return kept[: x.numel()].view(x.shape).copy_(x)


def _pages(size: int) -> memoryview:
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return memoryview(mmap.mmap(-1, -(-size // _STEP) * _STEP))
    # shared memory, which is the default, would get no large pages, and be a forked process's too
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    if size < _LARGE_PAGE // 2:
        return memoryview(mmap.mmap(-1, -(-size // _STEP) * _STEP, flags=private))
    size = -(-size // _LARGE_PAGE) * _LARGE_PAGE
    whole = mmap.mmap(-1, size + _LARGE_PAGE, flags=private)
    whole.madvise(mmap.MADV_HUGEPAGE)
    skip = -ctypes.addressof(ctypes.c_char.from_buffer(whole)) % _LARGE_PAGE
    return memoryview(whole)[skip : skip + size]
