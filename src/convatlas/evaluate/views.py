"""A part of an image in the size in which a network sees it, and where such parts lie."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from PIL import Image, ImageOps

from convatlas.data.augment import RESAMPLING, shorter_side_to
from convatlas.data.modes import plain
from convatlas.data.preprocess import Preprocessing

Size = tuple[int, int]  # height, width
Box = tuple[int, int, int, int]  # top, left, height, width


@dataclass(frozen=True, slots=True)
class View:
    """A part of an image, in the size in which a network sees it.

    Attributes:
        resized: The whole image is brought to this height and width;
        box: of that, this part is taken: top, left, height, width;
        size: and brought to this height and width.
        mirrored: Left and right change places.
    """

    resized: Size
    box: Box
    size: Size
    mirrored: bool = False


def pictures(
    image: Image.Image, views: tuple[View, ...], preprocessing: Preprocessing
) -> Iterator[Image.Image]:
    """Draw views of an image, in the colour mode and with the border of a preprocessing."""
    image = plain(image).convert(preprocessing.mode)
    filter_ = RESAMPLING[preprocessing.interpolation]
    wholes: dict[Size, Image.Image] = {}  # views of one size come back, mirrored
    for view in views:
        height, width = view.resized
        if view.resized not in wholes:
            wholes[view.resized] = image.resize((width, height), filter_)
        top, left, rows, columns = view.box
        shown = wholes[view.resized].crop((left, top, left + columns, top + rows))
        if (rows, columns) != view.size:
            shown = shown.resize((view.size[1], view.size[0]), filter_)
        if view.mirrored:
            shown = ImageOps.mirror(shown)
        yield ImageOps.expand(shown, preprocessing.border) if preprocessing.border else shown


def inner_size(preprocessing: Preprocessing) -> Size:
    """Give the height and width of the picture inside the border of a preprocessing."""
    height, width = preprocessing.size
    return height - 2 * preprocessing.border, width - 2 * preprocessing.border


def own_scale(preprocessing: Preprocessing) -> int:
    """Give the side that a preprocessing resizes to, or 256/224 of its size without a margin."""
    size, shorter = inner_size(preprocessing), preprocessing.resize_shorter
    if shorter is not None and shorter > max(size):
        return shorter
    return in_proportion((256,), size)[0]


def in_proportion(scales: tuple[int, ...], size: Size) -> tuple[int, ...]:
    """Give sizes for a network that takes 224 pixels as another one needs them."""
    return tuple(round(scale * max(size) / 224) for scale in scales)


def resized(image: Size, preprocessing: Preprocessing, scale: int) -> Size:
    """Bring the shorter side to `scale`, or stretch as much as the preprocessing stretches."""
    size = inner_size(preprocessing)
    if preprocessing.resize_shorter is not None:
        return shorter_side_to(image, scale)
    height, width = (round(side * scale / max(size)) for side in size)
    return height, width


def view_of(whole: Size, box: Box) -> View:
    """Give a part of a resized image as it is."""
    return View(whole, box, box[2:])


def whole_view(image: Size, preprocessing: Preprocessing, scale: int) -> View:
    """Give all of an image, resized."""
    whole = resized(image, preprocessing, scale)
    return view_of(whole, (0, 0, *whole))


def with_mirrors(views: Iterable[View]) -> tuple[View, ...]:
    """Give views, and then their mirror images."""
    straight = tuple(views)
    return (*straight, *(replace(view, mirrored=True) for view in straight))


def middle(whole: Size, size: Size) -> Box:
    """Give the box of a size in the middle of an image."""
    return middle_of((0, 0, *whole), size)


def middle_of(box: Box, size: Size) -> Box:
    """Give the box of a size in the middle of a box."""
    top, left, rows, columns = box
    return top + round((rows - size[0]) / 2), left + round((columns - size[1]) / 2), *size


def corners(box: Box, size: Size) -> list[Box]:
    """Give the boxes of a size in the four corners of a box."""
    top, left, rows, columns = box
    return [
        (y, x, *size) for y in (top, top + rows - size[0]) for x in (left, left + columns - size[1])
    ]


def three_squares(whole: Size) -> list[Box]:
    """Give the squares at both ends of the longer side and in the middle."""
    side = min(whole)
    spare = max(whole) - side
    ends = (0, round(spare / 2), spare)
    if whole[0] > whole[1]:
        return [(at, 0, side, side) for at in ends]
    return [(0, at, side, side) for at in ends]
