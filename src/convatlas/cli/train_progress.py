"""How `convatlas train` shows its progress: a bar on a terminal, plain lines elsewhere."""

import contextlib
import time
import warnings
from collections.abc import Generator
from typing import TYPE_CHECKING

import click

from convatlas.cli.progress import megabytes

if TYPE_CHECKING:
    from rich.console import Console

    from convatlas.train.events import Download, EpochDone, Event, Progress, StepDone

LINE_EVERY = 2.0  # seconds between epochs' lines
STEP_LINE_EVERY = 10.0  # seconds after which an epoch that is not done says where it is


@contextlib.contextmanager
def show_progress() -> Generator["Progress"]:
    """Give what `convatlas.train` tells its events; everything goes to standard error.

    Warnings become lines among them, without the place in the code where they arose.
    """
    from rich.console import Console

    from convatlas.train.events import Notice

    console = Console(stderr=True, highlight=False)
    with contextlib.ExitStack() as stack:
        show = stack.enter_context(_Bar(console)) if console.is_terminal else _Lines()
        stack.enter_context(warnings.catch_warnings())
        # Python documents that any callable will do; ty wants the very signature
        warnings.showwarning = lambda text, *_, **__: show(Notice(str(text)))  # ty: ignore[invalid-assignment]
        yield show


class _TimeLeft:
    """Guesses from the steps of this process; a resumed run's first steps are not its own."""

    def __init__(self) -> None:
        self._begun, self._first, self._last = 0.0, 0, 0

    def __call__(self, event: "StepDone") -> str:
        done = (event.epoch - 1) * event.steps + event.step
        if not self._last or done < self._last:  # the first step, or that of the next seed
            self._begun, self._first = time.monotonic(), done
        self._last = done
        waited = time.monotonic() - self._begun
        if done == self._first or not waited:
            return ""
        seconds = round((event.epochs * event.steps - done) * waited / (done - self._first))
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        return f"{clock} left"


def _of_step(event: "StepDone", left: str) -> str:
    return (
        f"epoch {event.epoch}/{event.epochs}  step {event.step}/{event.steps}  "
        f"loss {event.loss:.4f}  accuracy {event.accuracy:.2%}  "
        f"{event.images_per_second:,.0f} images/s  {left}"
    ).rstrip()


def _of_epoch(event: "EpochDone", left: str) -> str:
    record = event.record
    return (
        f"epoch {record['epoch']}/{event.epochs}  loss {record['train_loss']:.4f}  "
        f"accuracy {record['train_accuracy']:.2%}  validation {record['val_accuracy']:.2%}  "
        f"{record['images_per_second']:,.0f} images/s  {left}"
    ).rstrip()


def _of_download(event: "Download") -> str:
    return f"downloading {event.file}: {megabytes(event.done, event.total)}"


class _Lines:
    """Plain lines: epochs, but not more often than every two seconds, and the last one."""

    def __init__(self) -> None:
        self._time_left, self._left, self._shown = _TimeLeft(), "", time.monotonic()

    def __call__(self, event: "Event") -> None:
        from convatlas.train.events import Download, EpochDone, StepDone

        waited = time.monotonic() - self._shown
        if isinstance(event, StepDone):
            self._left = self._time_left(event)
            if waited >= STEP_LINE_EVERY:
                self._print(_of_step(event, self._left))
        elif isinstance(event, EpochDone):
            if waited >= LINE_EVERY or event.record["epoch"] == event.epochs:
                self._print(_of_epoch(event, self._left))
        elif isinstance(event, Download):
            if waited >= STEP_LINE_EVERY:
                self._print(_of_download(event))
        else:
            self._print(event.text)

    def _print(self, line: str) -> None:
        self._shown = time.monotonic()
        click.echo(line, err=True)


class _Bar:
    """A bar over all epochs, with the numbers of the running one and the last validation."""

    def __init__(self, console: "Console") -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),  # what the numbers leave of the line
            TextColumn("{task.fields[numbers]}"),
            console=console,
            transient=True,
            expand=True,
        )
        self._task = self._progress.add_task("", total=None, numbers="", visible=False)
        self._time_left, self._validation = _TimeLeft(), ""

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: "Event") -> None:
        from convatlas.train.events import Download, EpochDone, StepDone

        if isinstance(event, StepDone):
            self._progress.update(
                self._task,
                visible=True,
                description=f"epoch {event.epoch}/{event.epochs}",
                completed=(event.epoch - 1) * event.steps + event.step,
                total=event.epochs * event.steps,
                numbers=f"loss {event.loss:.3f}  train {event.accuracy:.1%}  {self._validation}"
                f"{event.images_per_second:,.0f} img/s  {self._time_left(event)}",
            )
        elif isinstance(event, EpochDone):
            self._validation = f"val {event.record['val_accuracy']:.1%}  "
        elif isinstance(event, Download):
            self._progress.update(
                self._task,
                visible=True,
                description="",
                completed=event.done,
                total=event.total,
                numbers=_of_download(event),
            )
        else:
            self._progress.console.print(event.text, markup=False, soft_wrap=True)
