"""Many small pictures at their places on a map."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from convatlas.errors import InputError
from convatlas.visualize.lettering import PAPER, Colour, heading, measured
from convatlas.visualize.masks import palette
from convatlas.visualize.page import Page
from convatlas.visualize.sheet import fitted

COLOURED = 20  # classes that colours can tell apart, more or less
_MARGIN = 40
MAP_SIDE = 1000  # pixels
_LARGEST, _SMALLEST = 72, 18  # longer side of a picture on it
_MORE = ((110, 60, 190), (160, 160, 160), (120, 60, 20))
_CLOSE = 0.6  # of the side that would fill the map with pictures


def image_map(
    pictures: Sequence[Image.Image],
    places: np.ndarray,
    title: str,
    subtitle: str = "",
    *,
    labels: Sequence[int] = (),
    classes: Sequence[str] = (),
    side: int | None = None,
) -> Page:
    """Put pictures at places; later ones may cover others.

    Args:
        pictures: At least one.
        places: (N, 2): x to the right and y downwards, in any unit; both axes have one scale.
        title: What is shown.
        subtitle: In smaller letters below.
        labels: The class of each picture, shown by the colour of its frame where there are at most
            20 classes.
        classes: Their names.
        side: Longer side of a picture, of the 1,000 pixels of the map; the more pictures, the
            smaller they are when not given.

    Returns:
        For a screen or a page; `.image()` or `.svg()` draw it.

    Raises:
        InputError: No pictures, or not a place and a class for each.
    """
    given = {len(pictures), len(places), len(labels) or len(pictures)}
    if not pictures or len(given) > 1:
        raise InputError(
            f"{len(pictures)} pictures, {len(places)} places, {len(labels)} labels: one each"
        )
    coloured = sorted(set(labels)) if len(set(labels)) <= COLOURED else []
    colours = dict(zip(coloured, _frame_colours(), strict=False))
    names = [str(classes[label]) if classes else str(label) for label in coloured]
    legend = 48 + max((round(measured(name, 15)) for name in names), default=-48)
    lines = heading(title, subtitle, MAP_SIDE)
    top = _MARGIN + sum(line.height for line in lines) + 16
    page = Page(MAP_SIDE + legend + 2 * _MARGIN, top + MAP_SIDE + _MARGIN, title, subtitle)
    page.write_heading(lines, (_MARGIN, _MARGIN))
    frames = [colours.get(label) for label in labels] or [None] * len(pictures)
    page.place(_drawn(pictures, places, frames, side), (_MARGIN, top))
    for row, (label, name) in enumerate(zip(coloured, names, strict=True)):
        x, y = _MARGIN + MAP_SIDE + 20, top + 26 * row
        page.box((x, y, x + 15, y + 15), None, fill=colours[label])
        page.write(name, (x + 24, y + 8), anchor="middle")
    return page


def _frame_colours() -> list[Colour]:
    """Give 20 colours, of which the first ten are far apart."""
    known, more = palette()[1:8].tolist(), palette()[8:18].tolist()
    return [(red, green, blue) for red, green, blue in (*known, *_MORE, *more)]


def _drawn(
    pictures: Sequence[Image.Image],
    places: np.ndarray,
    frames: Sequence[Colour | None],
    side: int | None,
) -> Image.Image:
    """Draw the map itself, each picture with a frame where it has a colour."""
    share = _CLOSE * MAP_SIDE / np.sqrt(len(pictures))
    side = side or int(np.clip(share, _SMALLEST, _LARGEST))
    spread = max(float(np.ptp(places, axis=0).max()), float(np.finfo(np.float64).tiny))
    middle = (places.max(axis=0) + places.min(axis=0)) / 2
    corners = (places - middle) / spread * (MAP_SIDE - side - 2) + (MAP_SIDE - side) / 2
    canvas = Image.new("RGB", (MAP_SIDE, MAP_SIDE), PAPER)
    for picture, (x, y), frame in zip(pictures, corners, frames, strict=True):
        small = fitted(picture, side)
        if frame is not None:
            width = max(2, side // 16)
            inside = (max(1, small.width - 2 * width), max(1, small.height - 2 * width))
            framed = Image.new("RGB", small.size, frame)
            framed.paste(small.resize(inside), (width, width))
            small = framed
        canvas.paste(small, (round(x), round(y)))
    return canvas
