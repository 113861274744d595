"""How `convatlas study` shows its progress: a bar on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Generator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from convatlas.studies.events import Measured, StudyEvent, StudyProgress

LINE_EVERY = 10.0  # seconds after which a case that is not done says where it is


@contextlib.contextmanager
def show_studies() -> Generator["StudyProgress"]:
    """Give what a study tells its events; everything goes to standard error."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[now]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bars:
        yield _Bar(bars)


def _of_measured(event: "Measured") -> str:
    error = event.values.get("test_error")
    found = "" if error is None else f", test error {error:.1%}"
    took = f"{event.seconds:.0f} s" if event.seconds else "known already"
    place = f"{event.study} {event.done}/{event.count}"
    return f"{place}  {event.case}, seed {event.seed}: {took}{found}"


class _Lines:
    """A line for each measurement, and one now and then for what takes long."""

    def __init__(self) -> None:
        self._shown = time.monotonic()

    def __call__(self, event: "StudyEvent") -> None:
        from convatlas.studies.events import Measured

        if isinstance(event, Measured):
            self._print(_of_measured(event))
        elif time.monotonic() - self._shown >= LINE_EVERY:
            where = f"{event.case}, seed {event.seed}"
            self._print(f"{event.study}  {where}: epoch {event.epoch}/{event.epochs}")

    def _print(self, line: str) -> None:
        self._shown = time.monotonic()
        click.echo(line, err=True)


class _Bar:
    """A bar over the measurements of each study."""

    def __init__(self, bars: "Progress") -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: "StudyEvent") -> None:
        from convatlas.studies.events import Measured

        bars, study = self._bars, event.study
        if study not in self._tasks:
            self._tasks[study] = bars.add_task(study, total=None, now="")
        task = self._tasks[study]
        if isinstance(event, Measured):
            bars.update(task, completed=event.done, total=event.count, now=f"{event.case} done")
        else:
            now = f"{event.case}, seed {event.seed}: epoch {event.epoch}/{event.epochs}"
            bars.update(task, now=now)
