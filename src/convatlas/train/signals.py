"""Stop a run at the next safe point when the system or the user asks for it."""

import contextlib
import signal
from collections.abc import Generator
from types import FrameType


class StoppedError(Exception):
    """A run was asked to stop and has kept its state."""


class StopSwitch:
    """Says whether a stop was asked for: `switch()` is True once a signal has come.

    Attributes:
        signal: The signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __call__(self) -> bool:
        """Say whether to stop."""
        return self.signal is not None


@contextlib.contextmanager
def stop_on_signals() -> Generator[StopSwitch]:
    """Turn SIGINT (Ctrl-C) and SIGTERM (a scheduler, `kill`) into a request to stop.

    The second signal does what it did before: Ctrl-C raises KeyboardInterrupt, SIGTERM ends the
    process. Only the main thread of a program may use this.
    """
    switch = StopSwitch()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, _: FrameType | None) -> None:
        switch.signal = signal.Signals(number)
        restore()

    for number in before:
        signal.signal(number, ask)
    try:
        yield switch
    finally:
        restore()
