"""How verbs show that they go through batches of images."""

import contextlib
from collections.abc import Callable, Generator

import click


def show_downloads() -> Callable[[str, int, int | None], None]:
    """Give what tells of files that are downloaded: a line on standard error every five seconds."""
    import time

    shown = time.monotonic()

    def line(file: str, done: int, total: int | None) -> None:
        nonlocal shown
        if time.monotonic() - shown >= 5:
            shown = time.monotonic()
            click.echo(f"downloading {file}: {megabytes(done, total)}", err=True)

    return line


def megabytes(done: int, total: int | None) -> str:
    """Say how much of a file has arrived."""
    whole = "" if total is None else f" of {total / 1e6:,.1f}"
    return f"{done / 1e6:,.1f}{whole} MB"


@contextlib.contextmanager
def show_batches(title: str, noun: str = "batch") -> Generator[Callable[[int, int], None]]:
    """Show batches on standard error: a bar on a terminal, a line every five seconds elsewhere.

    Args:
        title: What is going on.
        noun: What is counted.
    """
    import time

    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    console = Console(stderr=True)
    if console.is_terminal:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task(escape(title))
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    shown = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal shown
        if time.monotonic() - shown >= 5:
            shown = time.monotonic()
            click.echo(f"{title}: {noun} {done} of {total}", err=True)

    yield line
