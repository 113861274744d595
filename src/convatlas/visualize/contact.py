"""A contact sheet: one image through the eyes of several networks."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from convatlas.errors import InputError
from convatlas.visualize.draw import BAR_ROOM, HeatKind, add_colour_bar, framed, heat_picture
from convatlas.visualize.layers import Box
from convatlas.visualize.page import Page
from convatlas.visualize.sheet import Tile, fitted, sheet

_COLUMNS = 4
_SIDE = 260
_MARGIN, _CAPTION = 40, 30  # of a sheet


@dataclass(frozen=True, slots=True)
class View:
    """What one network sees in the image.

    Attributes:
        network: Its name.
        answer: A few words, such as the class and its probability.
        seen: The image as this network saw it.
        heat: (H, W), as `convatlas.visualize.draw.figure` takes it.
        box: Likewise.
    """

    network: str
    answer: str
    seen: Image.Image
    heat: Tensor
    box: Box | None = None


def contact_sheet(
    views: Sequence[View], title: str, subtitle: str = "", kind: HeatKind = "evidence"
) -> Page:
    """Set the heat maps of several networks on one image beside each other.

    The image stands first, as the first network saw it; a colour bar, the same for all, last.

    Args:
        views: At least one.
        title: See `convatlas.visualize.sheet.sheet`.
        subtitle: Likewise.
        kind: Of all heat maps; see `convatlas.visualize.draw.figure`.

    Returns:
        For a screen or a page; `.image()` or `.svg()` draw it.

    Raises:
        InputError: No views.
    """
    if not views:
        raise InputError("a contact sheet shows at least one network")
    tiles = [Tile(fitted(views[0].seen, _SIDE), "input")]
    for view in views:
        picture = heat_picture(fitted(view.seen, _SIDE), view.heat, kind)
        if view.box is not None:
            picture = framed(picture, view.box, view.heat.shape)
        tiles.append(Tile(picture, f"{view.network}: {view.answer}"))
    rows = [tiles[i : i + _COLUMNS] for i in range(0, len(tiles), _COLUMNS)]
    page = sheet(rows, title, subtitle, side=_SIDE)
    x = page.width - _MARGIN + 16
    page.width += BAR_ROOM
    height = _SIDE - 20
    top = page.height - _MARGIN - _CAPTION - height
    add_colour_bar(page, (x, top), height, signed=kind == "signed")
    return page
