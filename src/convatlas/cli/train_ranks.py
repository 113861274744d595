"""`convatlas train` under torchrun: one process speaks for all."""

import contextlib
import signal
import warnings
from collections.abc import Generator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convatlas.train.distributed import Ranks
    from convatlas.train.events import Progress

FORGETFUL = (
    "torchrun keeps the addresses of processes that have died: on several machines a restart may "
    "not succeed. Start it with TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 and --rdzv-backend c10d"
)


@contextlib.contextmanager
def together() -> Generator[tuple["Ranks", "Progress"]]:
    """Join the processes that torchrun has started, or none; the first shows the progress.

    Raises:
        click.exceptions.Exit: Another process has failed, and the first one says why.
    """
    from convatlas.cli.train_progress import show_progress
    from convatlas.train.distributed import FailedElsewhereError
    from convatlas.train.events import Notice, ignore
    from convatlas.train.joining import joined

    try:
        with joined() as ranks:
            if not ranks.first:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the first one shows them
                    yield ranks, ignore
                return
            with show_progress() as progress:
                if ranks.forgetful:
                    progress(Notice(FORGETFUL))
                yield ranks, progress
    except FailedElsewhereError:
        raise click.exceptions.Exit(2) from None


def stopped_by(own: signal.Signals | None, stopped: bool) -> signal.Signals | None:
    """Give the signal that has ended a run: this process's own, or that of another one."""
    return own or (signal.SIGTERM if stopped else None)
