"""Pictures of heat maps: colours, overlays and figures, drawn with Pillow alone."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from convatlas.errors import InputError
from convatlas.visualize.layers import Box
from convatlas.visualize.lettering import QUIET, heading
from convatlas.visualize.page import Page

# Nine equidistant values of the "inferno" map (van der Walt and Smith 2015, public domain). Its
# lightness grows evenly, so it reads the same in grey and for every form of colour blindness.
_ANCHORS = "000004 210c4a 57106e 8a226a bc3754 e45a31 f98e09 f9cb35 fcffa4"
# The same of "cividis" (Nunez, Anderton, Renslow 2018, CC0): grey in the middle, blue below it and
# yellow above, which people with any colour vision tell apart; in print, darker and lighter.
_SIGNED = "00224e 1a386f 434e6c 61656f 7d7c78 9b9476 bcae6c dec958 fee838"

_OPACITY = 0.62  # of the heat over the image: both stay readable on black and on white
_PANEL = 448  # longer side of a picture in a figure, pixels
_MARGIN = 40
_GAP = 28
_BAR = 22  # width of the colour bar
BAR_ROOM = _BAR + 44  # width of the bar and of the words beside it
_LEAST_BAR = 140  # its height beside a flat picture
_LEAST_COLUMN = 180  # of a picture and its caption
_LEAST_WIDTH = 560  # of the heading above a narrow picture
_FRAME = (86, 180, 233)  # a blue that stands out from the colours of heat

HeatKind = Literal["evidence", "pixels", "signed"]
_CAPTIONS = {
    "evidence": "evidence for the class",
    "pixels": "what each pixel counts",
    "signed": "for (+) and against (-) the class",
}


def colours(values: ArrayLike | Tensor) -> NDArray[np.uint8]:
    """Give the colours of values from 0 (black) over purple and orange to 1 (pale yellow).

    Args:
        values: Any shape; values outside [0, 1] get the colour of the nearer end.

    Returns:
        RGB, uint8, (..., 3).
    """
    return _mapped(values, 0.0, _ANCHORS)


def signed_colours(values: ArrayLike | Tensor) -> NDArray[np.uint8]:
    """Give the colours of values from -1 (blue) over 0 (grey) to 1 (yellow).

    Arguments and result are those of `colours`.
    """
    return _mapped(values, -1.0, _SIGNED)


def _mapped(values: ArrayLike | Tensor, low: float, anchors: str) -> NDArray[np.uint8]:
    """Blend the colours of `anchors`, which stand at equal distances from `low` to 1."""
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    table = _table(anchors)
    at = np.linspace(low, 1.0, len(table))
    channels = [np.interp(array.astype(np.float64), at, table[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _table(anchors: str) -> NDArray[np.uint8]:
    return np.array([list(bytes.fromhex(anchor)) for anchor in anchors.split()], np.uint8)


def overlay(image: Image.Image, heat: Tensor) -> Image.Image:
    """Lay the colours of a heat map over a grey version of an image.

    The image turns grey so that every colour in the picture means heat.

    Args:
        image: Any mode.
        heat: Values in [0, 1], (H, W); resized to the image (bilinear) where sizes differ.

    Returns:
        RGB, of the image's size.
    """
    grey = image.convert("L").convert("RGB")
    return Image.blend(grey, Image.fromarray(colours(_resized(heat, image.size))), _OPACITY)


def enlarged(image: Image.Image, longer_side: int) -> Image.Image:
    """Resize an image so that its longer side is `longer_side` or, when enlarged, just below.

    A small image grows by a whole factor and keeps its pixels visible: smoothing would show
    detail that the network never saw.
    """
    factor = longer_side / max(image.size)
    if factor >= 1:
        width, height = (side * int(factor) for side in image.size)
        return image.resize((width, height), Image.Resampling.NEAREST)
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def figure(
    image: Image.Image,
    heat: Tensor,
    title: str,
    subtitle: str = "",
    kind: HeatKind = "evidence",
    box: Box | None = None,
) -> Page:
    """Show an image beside its heat map, with a colour bar and a title.

    Args:
        image: What the network saw.
        heat: (H, W): values in [0, 1], or in [-1, 1] where they are signed.
        title: What is shown; long titles are broken into lines.
        subtitle: In smaller letters below.
        kind: "evidence": coarse, laid over the image; "pixels": one value for each pixel;
            "signed": the same, for and against the class.
        box: Drawn on both, in pixels of the heat map.

    Returns:
        For a screen or a page; `.image()` or `.svg()` draw it.
    """
    panel = enlarged(image.convert("RGB"), _PANEL)
    column = max(panel.width, _LEAST_COLUMN) + _GAP
    content = max(2 * column + BAR_ROOM, _LEAST_WIDTH)
    bar = max(panel.height, _LEAST_BAR)
    lines = heading(title, subtitle, content)
    top = _MARGIN + sum(line.height for line in lines) + 46
    page = Page(content + 2 * _MARGIN, top + bar + _MARGIN, title, subtitle)
    page.write_heading(lines, (_MARGIN, _MARGIN))
    seen = f"input, {image.width} x {image.height}"
    x = _MARGIN
    for picture, caption in ((panel, seen), (heat_picture(panel, heat, kind), _CAPTIONS[kind])):
        page.write(caption, (x, top - 12), 17, anchor="baseline")
        page.place(picture if box is None else framed(picture, box, heat.shape), (x, top))
        x += column
    add_colour_bar(page, (x, top), bar, signed=kind == "signed")
    return page


def heat_picture(panel: Image.Image, heat: Tensor, kind: HeatKind) -> Image.Image:
    """Give the colours of a heat map in the size of `panel`; see `figure` for the arguments."""
    if kind == "evidence":
        return overlay(panel, heat)
    rgb = Image.fromarray((signed_colours if kind == "signed" else colours)(_checked(heat)))
    shrinks = panel.width < rgb.width
    way = Image.Resampling.BOX if shrinks else Image.Resampling.NEAREST
    return rgb.resize(panel.size, way)


def framed(picture: Image.Image, box: Box, shape: Sequence[int]) -> Image.Image:
    """Draw a blue frame on a copy of a picture.

    Args:
        picture: RGB.
        box: Top, left, bottom, right, the last two just outside; what lies beyond is cut.
        shape: Height and width of that in whose pixels the box is given.
    """
    (top, left, bottom, right), (height, width) = box, shape
    x0, x1 = (round(min(max(0, x), width) * picture.width / width) for x in (left, right))
    y0, y1 = (round(min(max(0, y), height) * picture.height / height) for y in (top, bottom))
    drawn = picture.copy()
    edges = (x0, y0, max(x0, x1 - 1), max(y0, y1 - 1))
    ImageDraw.Draw(drawn).rectangle(edges, outline=_FRAME, width=3)
    return drawn


def add_colour_bar(page: Page, corner: tuple[int, int], height: int, *, signed: bool) -> None:
    """Draw the colours from 1 (top) to 0, or to -1, and name their values.

    Args:
        page: Where; the words stand to the right, `BAR_ROOM` pixels in all.
        corner: The top left pixel of the colours, (x, y).
        height: Of the colours, pixels.
        signed: Whether the values begin at -1.
    """
    x, y = corner
    low, anchors = (-1.0, _SIGNED) if signed else (0.0, _ANCHORS)
    page.ramp(_table(anchors)[::-1], corner, (_BAR, height))
    for value in np.linspace(low, 1.0, 5):
        at = y + round((1 - value) / (1 - low) * (height - 1))
        page.box((x + _BAR, at, x + _BAR + 5, at), None, fill=QUIET)
        page.write(f"{value:g}", (x + _BAR + 10, at), anchor="middle")


def _resized(heat: Tensor, size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(_checked(heat)).resize(size, Image.Resampling.BILINEAR))


def _checked(heat: Tensor) -> NDArray[np.float32]:
    if heat.dim() != 2:
        raise InputError(f"a heat map is (H, W); got {tuple(heat.shape)}")
    return heat.detach().cpu().float().numpy()
