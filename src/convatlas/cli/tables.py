"""Tables on the terminal that stay whole in a pipe."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Column
    from rich.text import Text

_WRAPPED = 44  # characters of a column that may take several lines on a terminal
_LEAST = 24  # characters of the last column, however narrow the terminal is


def print_table(
    head: Sequence[str],
    rows: "Iterable[Sequence[str | Text]]",
    right: Sequence[str] = (),
    wrapped: Sequence[str] = (),
) -> None:
    """Print a table to standard output; in a pipe every row is one whole line.

    On a narrow terminal the last column ends with an ellipsis.

    Args:
        head: Titles of the columns.
        rows: A text for each column; none is read as markup, for cells hold brackets.
        right: Titles of the columns that are aligned to the right.
        wrapped: Titles of the columns that may take several lines on a terminal.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in head:
        whole = title not in wrapped or not console.is_terminal
        justify = "right" if title in right else "left"
        widest = None if whole else _WRAPPED
        table.add_column(
            Text(title), justify=justify, no_wrap=whole, overflow="ellipsis", max_width=widest
        )
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    if console.is_terminal:
        used = sum(_width(column) + 2 for column in table.columns[:-1])
        table.columns[-1].max_width = max(_LEAST, console.width - used)
    wide = Console(highlight=False, width=10_000)  # rich drops columns that do not fit
    with wide.capture() as captured:
        wide.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def _width(column: "Column") -> int:
    from rich.cells import cell_len

    cells = (column.header, *column.cells)
    return min(column.max_width or 10_000, max(cell_len(str(cell)) for cell in cells))
