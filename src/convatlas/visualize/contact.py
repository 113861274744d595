"""A contact sheet: one image through the eyes of several networks."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from convatlas.errors import InputError
from convatlas.visualize.draw import BAR_ROOM, HeatKind, colour_bar, heat_picture
from convatlas.visualize.sheet import Tile, fitted, sheet

_COLUMNS = 4
_SIDE = 260


@dataclass(frozen=True, slots=True)
class View:
    """What one network sees in the image.

    Attributes:
        network: Its name.
        answer: A few words, such as the class and its probability.
        seen: The image as this network saw it.
        heat: (H, W), as `convatlas.visualize.draw.figure` takes it.
    """

    network: str
    answer: str
    seen: Image.Image
    heat: Tensor


def contact_sheet(
    views: Sequence[View], title: str, subtitle: str = "", kind: HeatKind = "evidence"
) -> Image.Image:
    """Set the heat maps of several networks on one image beside each other.

    The image stands first, as the first network saw it; a colour bar, the same for all, last.

    Args:
        views: At least one.
        title: See `convatlas.visualize.sheet.sheet`.
        subtitle: Likewise.
        kind: Of all heat maps; see `convatlas.visualize.draw.figure`.

    Returns:
        RGB, for a screen or a page.

    Raises:
        InputError: No views.
    """
    if not views:
        raise InputError("a contact sheet shows at least one network")
    tiles = [Tile(fitted(views[0].seen, _SIDE), "input")]
    for view in views:
        picture = heat_picture(fitted(view.seen, _SIDE), view.heat, kind)
        tiles.append(Tile(picture, f"{view.network}: {view.answer}"))
    rows = [tiles[i : i + _COLUMNS] for i in range(0, len(tiles), _COLUMNS)]
    drawn = sheet(rows, title, subtitle, side=_SIDE)
    bar = colour_bar(_SIDE - 2 * BAR_ROOM, signed=kind == "signed")
    margin = 24
    canvas = Image.new("RGB", (drawn.width + bar.width - margin + 8, drawn.height), (255, 255, 255))
    canvas.paste(drawn, (0, 0))
    canvas.paste(bar, (drawn.width - margin, drawn.height - bar.height - 2 * margin - 16))
    return canvas
