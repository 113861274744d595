"""Processes that share the images of a split; here there is one, more are `train.distributed`'s."""

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Sharing(Protocol):
    """What an evaluation asks of the processes it runs in."""

    def together(self, call: Callable[[tuple[int, int]], T]) -> list[T]:
        """Call with this process's part, number and parts in all; give what all processes got."""
        ...


class Unshared:
    """One process, which has all images."""

    def together(self, call: Callable[[tuple[int, int]], T]) -> list[T]:
        """Call with the whole."""
        return [call((0, 1))]


UNSHARED = Unshared()
