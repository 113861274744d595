"""Several processes that run in turn, each with one network that it has prepared."""

import contextlib
import multiprocessing
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from torch import Tensor

from convatlas.engines.timing import Timing, block_ms, summary
from convatlas.errors import UserError
from convatlas.memory import forget_peak, peak_bytes

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """What a process is to run.

    Attributes:
        run: From images to logits.
        images: That it runs on.
        facts: Told to whoever started the process; what can be pickled.
    """

    run: Run
    images: Tensor
    facts: dict[str, Any]


Preparing = Callable[[], Ready]


@dataclass(slots=True)
class Found:
    """What became of one process.

    Attributes:
        facts: As it prepared them.
        milliseconds: Of a batch, a mean for each turn.
        peak_bytes: Most memory that it held since it was ready.
        refused: Why it did not run, or not to the end; empty: it did.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    refused: str = ""

    def timing(self) -> Timing:
        """Sum up the turns."""
        return summary(self.milliseconds)


def in_turn(
    tasks: Sequence[Preparing],
    rounds: int,
    block_seconds: float,
    step: Callable[[], None] = lambda: None,
) -> list[Found]:
    """Prepare each task in a process of its own, then let them run in turn.

    Every other round goes backwards, so that what else the machine does hits all alike. A first
    round does not count: those prepared first have lain idle longest, and get their memory back.

    Args:
        tasks: Functions that can be pickled; what they raise for a user is told in `refused`.
        rounds: Turns of each.
        block_seconds: How long a turn lasts at least; a slow network runs once.
        step: Called after each preparation and each turn.
    """
    with contextlib.ExitStack() as stack:
        lines: list[Connection] = []
        found: list[Found] = []
        for task in tasks:
            lines.append(stack.enter_context(_process(task)))
            heard = _heard(lines[-1])
            found.append(Found(refused=heard) if isinstance(heard, str) else Found(heard))
            step()
        able = [i for i, one in enumerate(found) if not one.refused]
        for i in able:
            _take_turn(lines[i], block_seconds, found[i])
            found[i].milliseconds.clear()
        for turn in range(rounds):
            for i in able if turn % 2 == 0 else reversed(able):
                _take_turn(lines[i], block_seconds, found[i])
                step()
    return found


@contextlib.contextmanager
def _process(task: Preparing) -> Generator[Connection]:
    context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, task), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
        with contextlib.suppress(OSError):
            ours.send(None)
        process.join(timeout=10)
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        ours.close()


def work(connection: Connection, task: Preparing) -> None:
    """Prepare, tell the facts or one line, then answer each number of seconds that comes.

    The network runs about so many seconds; the answer is the mean of a batch in milliseconds and
    the peak of the memory. None ends it.
    """
    try:
        ready = task()
    except (UserError, MemoryError) as error:
        connection.send(str(error) or "memory ran out")
        return
    connection.send(ready.facts)
    forget_peak()
    while (seconds := connection.recv()) is not None:
        connection.send((block_ms(ready.run, ready.images, seconds), peak_bytes()))


def _heard(line: Connection) -> Any:
    try:
        return line.recv()
    except (EOFError, OSError):
        return "its process died: the memory may be too small"


def _take_turn(line: Connection, seconds: float, found: Found) -> None:
    """Let one process run; one that has died has no further turns."""
    if found.refused:
        return
    with contextlib.suppress(OSError):
        line.send(seconds)
    heard = _heard(line)
    if isinstance(heard, str):
        found.refused = heard
        return
    milliseconds, found.peak_bytes = heard
    found.milliseconds.append(milliseconds)
