"""What a classifier takes for what: a confusion matrix as a picture."""

from collections.abc import Sequence

import numpy as np

from convatlas.errors import InputError
from convatlas.visualize.draw import colours
from convatlas.visualize.lettering import INK, QUIET, heading, measured
from convatlas.visualize.page import Page

SHOWN = 20  # classes that a picture holds
_MARGIN = 40
_WIDTH = 900  # of matrix and names together
_CELL = 44
_NAMES = 220  # room for the names of rows
_RIGHT, _EMPTY = (226, 229, 234), (248, 249, 250)
_LEAST_WIDTH = 900  # of the heading
_LIGHT = 0.62  # of the scale of heat: above it dark letters are read best


def confused_classes(confusion: Sequence[Sequence[int]], count: int = SHOWN) -> list[int]:
    """Give the numbers of the classes with most mistakes, of their images or by their name.

    Where there are more classes than that, those without a mistake are left out; where there are
    no mistakes at all, the classes with most images are given.

    Args:
        confusion: A row for each true class, a column for each predicted one.
        count: At most so many.

    Returns:
        In the order of the classes.
    """
    table = _checked(confusion)
    if len(table) <= count:
        return list(range(len(table)))
    wrong = table - np.diag(np.diag(table))
    worth = wrong.sum(axis=0) + wrong.sum(axis=1)
    if not worth.any():
        worth = table.sum(axis=1)
    order = np.argsort(-worth, kind="stable")
    return sorted(i for i in order[:count].tolist() if worth[i]) or [0]


def confusion_page(
    confusion: Sequence[Sequence[int]],
    classes: Sequence[str],
    title: str,
    subtitle: str = "",
    *,
    shown: Sequence[int] | None = None,
) -> Page:
    """Show counts of images: right answers are grey, mistakes have the colours of heat.

    Args:
        confusion: A row for each true class, a column for each predicted one.
        classes: Their names.
        title: What is shown.
        subtitle: In smaller letters below.
        shown: Numbers of the classes to show; those with most mistakes when not given.

    Raises:
        InputError: No square of counts, or another number of names.
    """
    table = _checked(confusion)
    if len(classes) != len(table):
        raise InputError(f"{len(classes)} names for a confusion matrix of {len(table)} classes")
    numbers = list(confused_classes(confusion) if shown is None else shown)
    part = table[np.ix_(numbers, numbers)]
    rows, columns = _names(classes, numbers)
    side = max(18, min(_CELL, (_WIDTH - _NAMES) // max(1, len(numbers))))
    room = min(_NAMES, 12 + max(round(measured(name, 15)) for name in rows))
    content = max(room + side * len(numbers), _LEAST_WIDTH)
    lines = heading(title, subtitle, content)
    top = _MARGIN + sum(line.height for line in lines) + 54
    page = Page(content + 2 * _MARGIN, top + side * len(numbers) + _MARGIN, title, subtitle)
    page.write_heading(lines, (_MARGIN, _MARGIN))
    left = _MARGIN + room
    page.write("predicted", (left, top - 42), 13)
    for place, (row, column) in enumerate(zip(rows, columns, strict=True)):
        middle = place * side + side / 2
        name = (left - 8, top + middle)
        page.write(row, name, anchor="middle", align="right", width=room - 8)
        page.write(column, (left + middle, top - 20), 13, align="middle", width=side)
    _add_cells(page, part, (left, top), side)
    return page


def _add_cells(page: Page, part: np.ndarray, corner: tuple[int, int], side: int) -> None:
    wrong = part - np.diag(np.diag(part))
    most = max(1, int(wrong.max(initial=0)))
    for (row, column), count in np.ndenumerate(part):
        x, y = corner[0] + column * side, corner[1] + row * side
        # the least mistake stands out too: it begins at a third of the scale
        heat = 1 / 3 + 2 / 3 * (count - 1) / max(1, most - 1)
        red, green, blue = colours(heat).tolist()
        right = row == column
        fill = _RIGHT if right else (red, green, blue) if count else _EMPTY
        page.box((x, y, x + side - 2, y + side - 2), None, fill=fill)
        ink = QUIET if right else INK if heat > _LIGHT else (255, 255, 255)
        if count:
            middle = (x + side / 2, y + side / 2)
            page.write(str(count), middle, 14, colour=ink, anchor="middle", align="middle")


def _names(classes: Sequence[str], numbers: Sequence[int]) -> tuple[list[str], list[str]]:
    """Name rows and columns; where names are long, columns have the numbers of their classes."""
    names = [str(classes[number]) for number in numbers]
    if max(map(len, names)) <= 3:
        return names, names
    return [f"{name}  {n}" for name, n in zip(names, numbers, strict=True)], list(map(str, numbers))


def _checked(confusion: Sequence[Sequence[int]]) -> np.ndarray:
    table = np.asarray(confusion)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not len(table):
        raise InputError(f"a confusion matrix is square; got {table.shape}")
    return table
