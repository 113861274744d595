"""The processes that train together, as `torchrun` starts them; alone, all of this does nothing.

Each process holds the network and computes its part of every batch. They meet in three ways: the
gradients are averaged (by torch's DistributedDataParallel or FSDP2), numbers are summed, and what
only one of them may do is done by the first.
"""

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from convatlas.errors import InputError, UserError

T = TypeVar("T")

# Longer than any one of them works while the others wait; who hangs longer has lost a machine.
TIMEOUT = timedelta(minutes=10)
PREPARING = timedelta(hours=24)  # for the first of a host, which may download a data set


class FailedElsewhereError(UserError):
    """Another process has failed, and the first one says why."""


class LostError(UserError):
    """The other processes don't answer any more: one has died, or a network is down."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of a run, seen from one of them.

    Attributes:
        rank: This process; 0 is the one that writes and speaks.
        size: How many there are.
        host_rank: Its place among those of its machine.
        host_size: How many its machine has.
        host: Number of its machine.
        restarted: torchrun has started them again after a failure.
        forgetful: A restart might not bring them together; see `train.joining`.
        store: Where they find each other; None: there is no other.
    """

    rank: int = 0
    size: int = 1
    host_rank: int = 0
    host_size: int = 1
    host: int = 0
    restarted: bool = False
    forgetful: bool = False
    store: dist.Store | None = None

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    @property
    def part(self) -> tuple[int, int]:
        """Which part of every batch is this process's: number, and parts in all."""
        return self.rank, self.size

    def sums(self, *values: float) -> list[float]:
        """Add up each number over all processes, exactly alike in each."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return total.tolist()

    def any(self, *asked: bool) -> list[bool]:
        """Say for each question whether one of the processes says yes."""
        return [value > 0 for value in self.sums(*map(float, asked))]

    def counts(self, count: int) -> list[int]:
        """Give the number that each process has, in the order of their ranks."""
        places = [count if rank == self.rank else 0 for rank in range(self.size)]
        return [round(number) for number in self.sums(*places)]

    def gathered(self, value: T) -> list[T]:
        """Give what each process has, in the order of their ranks."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def of_first(self, value: T) -> T:
        """Give each process what the first one has."""
        if self.size == 1:
            return value
        box = [value if self.first else None]
        dist.broadcast_object_list(box, src=0)
        return box[0]  # ty: ignore[invalid-explicit-return] filled by the line above

    def share_buffers(self, *models: nn.Module) -> None:
        """Give each process the first one's buffers.

        Statistics of batch norm differ between processes, and one set of them must be what is
        validated and kept: that of the first.
        """
        if self.size > 1:
            for model in models:
                for buffer in model.buffers():
                    dist.broadcast(buffer, src=0)

    def together(self, call: Callable[[tuple[int, int]], T]) -> list[T]:
        """Call something with each process's `part`, and give what it gave in all of them.

        Raises:
            UserError: As `all_or_none` does.
            FailedElsewhereError: As `all_or_none` does.
        """
        return self.gathered(self.all_or_none(lambda: call(self.part)))

    def by_first(self, call: Callable[[], T]) -> T:
        """Call something in the first process only, and give its result to all.

        Raises:
            UserError: What `call` raised, in the first process.
            FailedElsewhereError: It failed there, in the others.
        """
        if self.size == 1:
            return call()
        value = self.all_or_none(call if self.first else lambda: None)
        return self.of_first(value)  # ty: ignore[invalid-explicit-return] the first one has called

    @contextlib.contextmanager
    def entered_by_first(self, context: contextlib.AbstractContextManager[None]) -> Generator[None]:
        """Be in a context in the first process only; where it can't be entered, all fail."""
        with contextlib.ExitStack() as stack:
            self.by_first(lambda: stack.enter_context(context))
            yield

    def all_or_none(self, call: Callable[[], T]) -> T:
        """Call something that may fail in every process; where one fails, all do.

        Raises:
            UserError: In the first process, what `call` raised, here or in another.
            FailedElsewhereError: In the others.
        """
        if self.size == 1:
            return call()
        value, error = None, None
        try:
            value = call()
        except UserError as caught:
            error = caught
        self._agree(error)
        return value  # ty: ignore[invalid-explicit-return] without an error it has been called

    def prepared(self, call: Callable[[], T]) -> T:
        """Call something in every process, on each machine first in one, which may download.

        Raises:
            UserError: As `all_or_none` does.
            FailedElsewhereError: As `all_or_none` does.
        """
        if self.store is None:
            return call()
        store, ready = self.store, f"convatlas/prepared/{self.host}"
        done = [f"convatlas/ready/{rank}" for rank in range(self.size)]

        def in_turn() -> T:
            try:
                if self.host_rank:
                    store.wait([ready], PREPARING)
                return call()
            finally:
                if not self.host_rank:
                    store.set(ready, "")
                store.set(done[self.rank], "")
                store.wait(done, PREPARING)  # the group would not wait for a download

        return self.all_or_none(in_turn)

    def _agree(self, error: UserError | None) -> None:
        """Let all fail if one has, and the first say why."""
        messages = self.gathered(None if error is None else str(error))
        if not any(messages):
            return
        if not self.first:
            raise FailedElsewhereError(f"process 0 says why: {error or 'another one failed'}")
        if error is not None:
            raise error
        rank = next(rank for rank, message in enumerate(messages) if message)
        raise InputError(f"process {rank} of {self.size}: {messages[rank]}")

    def check_alike(self, config: dict[str, Any]) -> None:
        """Refuse to train together on different things.

        Raises:
            InputError: Another process was given something else; the message names the first
                field in which it differs.
            FailedElsewhereError: The same, in the other processes.
        """
        self.all_or_none(lambda: self._compare(config, self.gathered(config)))

    def _compare(self, config: dict[str, Any], others: list[dict[str, Any]]) -> None:
        for rank, other in enumerate(others):
            for key in {**config, **other}:
                if config.get(key) != other.get(key):
                    raise InputError(
                        f"{key} is {other.get(key)!r} in process {rank} and {config.get(key)!r} "
                        f"in process {self.rank}: give all the same command and the same images"
                    )


ALONE = Ranks()
