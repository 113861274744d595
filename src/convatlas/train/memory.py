"""When memory runs out: the same work in smaller parts."""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from convatlas.errors import UserError

T = TypeVar("T")

# what torch says where it has no class for it: its allocator, oneDNN's, C++'s
_WORDS = ("can't allocate memory", "out of memory", "bad_alloc", "could not create a primitive")


class MemoryShortError(UserError, MemoryError):
    """The memory is too small even for the smallest part of the work."""


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory has run out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def within_memory(
    attempt: Callable[[int], T],
    size: int,
    smaller: Callable[[int], None],
    what: str,
    least: int = 1,
) -> T:
    """Call `attempt(size)`, and again with half the size each time that memory runs out.

    Args:
        attempt: Does the work, that many images at once; may be called several times.
        size: Where to start.
        smaller: Told of each new size before it is tried.
        what: What needs the memory, for the message.
        least: Images that the work can be done with: 2 where a batch norm learns.

    Raises:
        MemoryShortError: It runs out with so few images too.
    """
    while True:
        try:
            return attempt(size)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if size <= least:
                few = "one image at a time was" if least == 1 else "two images at a time were"
                norm = "" if least == 1 else ", and batch norm can't learn from fewer"
                raise MemoryShortError(
                    f"memory ran out in {what} although {few} computed{norm}: free some, or take "
                    "smaller images or another network"
                ) from error
        # the error is gone here, and with its traceback what the attempt had allocated
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        size = max(least, -(-size // 2))
        smaller(size)
