"""Many small pictures on one sheet, in rows, under a heading."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from convatlas.errors import InputError
from convatlas.visualize.lettering import heading
from convatlas.visualize.page import Page

_MARGIN = 40
_GAP = 8
_EDGE = (222, 224, 228)
_LETTERS = 24  # height of a caption
_CLOSER = 5  # by which its further lines are nearer
_LEAST_WIDTH = 560  # of the heading above a narrow sheet
_WIDTH = 1000  # what a sheet's tiles together take about, pixels
_LARGEST, _SMALLEST = 320, 40  # side of a tile


@dataclass(frozen=True, slots=True)
class Tile:
    """A small picture, and what is written below it.

    Attributes:
        picture: Any size; brought to that of the sheet's tiles.
        caption: Lines, each cut where it is too long.
    """

    picture: Image.Image
    caption: str = ""


def sheet(
    rows: Sequence[Sequence[Tile]],
    title: str,
    subtitle: str = "",
    *,
    labels: Sequence[str] = (),
    side: int | None = None,
) -> Page:
    """Set rows of small pictures below each other.

    Args:
        rows: At least one tile.
        title: What is shown; long titles are broken into lines.
        subtitle: In smaller letters below.
        labels: What is written above each row, as many as rows; an empty one takes no room.
        side: Longer side of a tile, pixels; as large as the number of columns lets it be when not
            given.

    Returns:
        For a screen or a page; `.image()` or `.svg()` draw it.

    Raises:
        InputError: No tiles, or not one label a row.
    """
    columns = max(map(len, rows), default=0)
    if not columns or (labels and len(labels) != len(rows)):
        raise InputError(f"a sheet of {len(rows)} rows of {columns} tiles, {len(labels)} labels")
    side = side or max(_SMALLEST, min(_LARGEST, _WIDTH // columns - _GAP))
    pictures = [[fitted(tile.picture, side) for tile in row] for row in rows]
    width = max(picture.width for row in pictures for picture in row)
    content = max(columns * (width + _GAP) - _GAP, _LEAST_WIDTH)
    lines = heading(title, subtitle, content)
    captions = [len(tile.caption.splitlines()) for row in rows for tile in row]
    below = _LETTERS * max(captions) - _CLOSER * max(0, max(captions) - 1)
    rooms = [_LETTERS if label else 0 for label in labels or [""] * len(rows)]
    heights = [
        room + max((p.height for p in row), default=0) + below + _GAP
        for room, row in zip(rooms, pictures, strict=True)
    ]
    top = _MARGIN + sum(line.height for line in lines) + 16
    page = Page(content + 2 * _MARGIN, top + sum(heights) - _GAP + _MARGIN, title, subtitle)
    page.write_heading(lines, (_MARGIN, _MARGIN))
    y = top
    for index, (row, shown) in enumerate(zip(rows, pictures, strict=True)):
        above = rooms[index]
        if above:
            page.write(labels[index], (_MARGIN, y), width=content)
        for column, (tile, picture) in enumerate(zip(row, shown, strict=True)):
            x = _MARGIN + column * (width + _GAP)
            page.place(picture, (x, y + above))
            edge = (x - 1, y + above - 1, x + picture.width, y + above + picture.height)
            page.box(edge, _EDGE)  # a white picture would end nowhere
            for number, line in enumerate(tile.caption.splitlines()):
                under = y + heights[index] - below - _GAP + 4 + number * (_LETTERS - _CLOSER)
                page.write(line, (x, under), width=width)
        y += heights[index]
    return page


def in_rows(tiles: Sequence[Tile], columns: int | None = None) -> list[list[Tile]]:
    """Break tiles into rows: by default about as many rows as columns, but rather wide."""
    columns = columns or next((n for n in (4, 6, 8, 10, 12, 16, 20) if n * n >= len(tiles)), 24)
    return [list(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]


def fitted(picture: Image.Image, side: int) -> Image.Image:
    """Bring a picture to a longer side of `side`, RGB; where it grows its pixels stay visible."""
    factor = side / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    way = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.LANCZOS
    return picture.convert("RGB").resize(size, way)
