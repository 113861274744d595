"""Which parts of an image a network is shown, and what is averaged: test protocols as values.

Each paper tests in a way of its own, and the errors it prints hold for that way alone. A protocol
lists views of an image; none of them reads a pixel, so that they can be counted and compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from PIL import Image, ImageOps

from convatlas.data.augment import RESAMPLING
from convatlas.data.images import plain
from convatlas.data.preprocess import Preprocessing
from convatlas.errors import InputError, unknown

Size = tuple[int, int]  # height, width
Box = tuple[int, int, int, int]  # top, left, height, width
GOOGLENET_SCALES = (256, 288, 320, 352)  # for 224 pixels, as the next
RESNET_SCALES = (224, 256, 384, 480, 640)
Average = Literal["probabilities", "logits"]


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


class ViewProtocol(Protocol):
    """A way to test: views of an image, and how the answers to them become one."""

    @property
    def average(self) -> Average:
        """What the answer is the mean of: softmax outputs, or what goes into one softmax."""
        ...

    @property
    def dense(self) -> bool:
        """Whether the network runs fully convolutionally, on views of any size.

        The logits of its map are averaged before anything else.
        """
        ...

    def views(self, image: Size, preprocessing: Preprocessing) -> tuple[View, ...]:
        """List the views of an image of a height and width for a network with a preprocessing."""
        ...


@dataclass(frozen=True, slots=True)
class Center:
    """One view, as the network's own preprocessing makes it."""

    average: Average = "probabilities"
    dense: bool = False

    def views(self, image: Size, preprocessing: Preprocessing) -> tuple[View, ...]:
        """Give the centre, or all of a stretched image."""
        size = _inner(preprocessing)
        shorter = preprocessing.resize_shorter
        whole = size if shorter is None else _shorter_to(image, shorter)
        return (_view(whole, _middle(whole, size)),)


@dataclass(frozen=True, slots=True)
class TenCrop:
    """Four corners and the centre of the middle square, and their mirror images.

    Krizhevsky et al. 2012, sections 2 and 4.1: 227 (the paper prints 224) of 256 pixels, the mean
    of ten softmax outputs.
    """

    average: Average = "probabilities"
    dense: bool = False

    def views(self, image: Size, preprocessing: Preprocessing) -> tuple[View, ...]:
        """Give ten views; the square has the side to which the preprocessing resizes.

        Where that leaves no margin, it is 256/224 times as large as the network's input.
        """
        size, scale = _inner(preprocessing), _scale(preprocessing)
        whole = _resized(image, preprocessing, scale)
        square = _middle(whole, (min(whole[0], scale), min(whole[1], scale)))
        places = [*_corners(square, size), _middle(whole, size)]
        return _mirrored(_view(whole, place) for place in places)


@dataclass(frozen=True, slots=True)
class Crops144:
    """Four sizes, three squares of each, six views of each square, and their mirror images.

    Szegedy et al. 2014, "Going deeper with convolutions", section 7: the shorter side becomes
    256, 288, 320 and 352 pixels; the squares lie left, in the middle and right (upright images:
    above, in the middle, below); of a square, the four corners and the centre with 224 pixels and
    the whole of it resized to 224; the mean of 144 softmax outputs.

    Attributes:
        scales: Shorter sides in pixels; None: the paper's, in proportion where a network does not
            take 224 pixels.
        average: See `ViewProtocol`.
        dense: Likewise.
    """

    scales: tuple[int, ...] | None = None
    average: Average = "probabilities"
    dense: bool = False

    def views(self, image: Size, preprocessing: Preprocessing) -> tuple[View, ...]:
        """Give 144 views, or 36 for each size."""
        size = _inner(preprocessing)
        found = []
        for scale in self.scales or _in_proportion(GOOGLENET_SCALES, size):
            if scale < max(size):
                raise InputError(f"images of {scale} pixels are too small for views of {max(size)}")
            whole = _resized(image, preprocessing, scale)
            for square in _three_squares(whole):
                places = [*_corners(square, size), _middle_of(square, size)]
                found += [_view(whole, place) for place in places]
                found.append(View(whole, square, size))
        return _mirrored(found)


@dataclass(frozen=True, slots=True)
class Dense:
    """The whole image in one or several sizes, fully convolutionally: the mean over its places.

    Simonyan and Zisserman 2014, section 3.2: the logits of the class map are averaged, the
    posteriors of the image and of its mirror image too, and those of several sizes (section 4.2:
    256, 384 and 512 pixels for a network that was trained with scale jitter).

    Attributes:
        scales: Shorter sides in pixels; None: the one that the preprocessing resizes to.
        average: See `ViewProtocol`.
        dense: Likewise.
    """

    scales: tuple[int, ...] | None = None
    average: Average = "probabilities"
    dense: bool = True

    def views(self, image: Size, preprocessing: Preprocessing) -> tuple[View, ...]:
        """Give two views for each size."""
        scales = self.scales or (_scale(preprocessing),)
        return _mirrored(_whole(image, preprocessing, scale) for scale in scales)


@dataclass(frozen=True, slots=True)
class MultiScale:
    """The whole image in five sizes, fully convolutionally: the mean of the scores.

    He et al. 2015, section 3.4: the shorter side becomes 224, 256, 384, 480 and 640 pixels. The
    paper averages "the scores", here the logits, and tells of no mirror images.

    Attributes:
        scales: Shorter sides in pixels; None: the paper's, in proportion where a network does not
            take 224 pixels.
        average: See `ViewProtocol`.
        dense: Likewise.
    """

    scales: tuple[int, ...] | None = None
    average: Average = "logits"
    dense: bool = True

    def views(self, image: Size, preprocessing: Preprocessing) -> tuple[View, ...]:
        """Give one view for each size."""
        scales = self.scales or _in_proportion(RESNET_SCALES, _inner(preprocessing))
        return tuple(_whole(image, preprocessing, scale) for scale in scales)


CENTER = Center()
PROTOCOLS: dict[str, ViewProtocol] = {
    "center": CENTER,
    "10crop": TenCrop(),
    "144crop": Crops144(),
    "dense": Dense(),
    "multiscale": MultiScale(),
}


def find_protocol(name: str, scales: tuple[int, ...] | None = None) -> ViewProtocol:
    """Give a protocol by its name.

    Args:
        name: One of `PROTOCOLS`.
        scales: Other shorter sides than the paper's, in pixels.

    Raises:
        UnknownNameError: No such protocol.
        InputError: The protocol has one size, or a size is not positive.
    """
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    protocol = PROTOCOLS[name]
    if scales is None:
        return protocol
    if not isinstance(protocol, Crops144 | Dense | MultiScale):
        raise InputError(f"the protocol {name} takes no scales: dense, multiscale and 144crop do")
    if not scales or min(scales) < 1:
        raise InputError(f"scales are shorter sides in pixels, such as 256,384,512, not {scales}")
    return replace(protocol, scales=scales)


def pictures(
    image: Image.Image, views: tuple[View, ...], preprocessing: Preprocessing
) -> Iterator[Image.Image]:
    """Draw views of an image, in the colour mode and with the border of a preprocessing."""
    image = plain(image).convert(preprocessing.mode)
    whole, filter_ = image, RESAMPLING[preprocessing.interpolation]
    for view in views:
        height, width = view.resized
        if whole is image or whole.size != (width, height):
            whole = image.resize((width, height), filter_)
        top, left, rows, columns = view.box
        shown = whole.crop((left, top, left + columns, top + rows))
        if (rows, columns) != view.size:
            shown = shown.resize((view.size[1], view.size[0]), filter_)
        if view.mirrored:
            shown = ImageOps.mirror(shown)
        yield ImageOps.expand(shown, preprocessing.border) if preprocessing.border else shown


def _inner(preprocessing: Preprocessing) -> Size:
    height, width = preprocessing.size
    return height - 2 * preprocessing.border, width - 2 * preprocessing.border


def _scale(preprocessing: Preprocessing) -> int:
    size, shorter = _inner(preprocessing), preprocessing.resize_shorter
    if shorter is not None and shorter > max(size):
        return shorter
    return _in_proportion((256,), size)[0]


def _in_proportion(scales: tuple[int, ...], size: Size) -> tuple[int, ...]:
    return tuple(round(scale * max(size) / 224) for scale in scales)


def _resized(image: Size, preprocessing: Preprocessing, scale: int) -> Size:
    """Bring the shorter side to `scale`, or stretch as much as the preprocessing stretches."""
    size = _inner(preprocessing)
    if preprocessing.resize_shorter is not None:
        return _shorter_to(image, scale)
    height, width = (round(side * scale / max(size)) for side in size)
    return height, width


def _shorter_to(image: Size, shorter: int) -> Size:
    height, width = image
    if height < width:  # the longer side is cut to whole pixels, as in training
        return shorter, int(shorter * width / height)
    return int(shorter * height / width), shorter


def _view(whole: Size, box: Box) -> View:
    return View(whole, box, box[2:])


def _whole(image: Size, preprocessing: Preprocessing, scale: int) -> View:
    whole = _resized(image, preprocessing, scale)
    return _view(whole, (0, 0, *whole))


def _mirrored(views: "Iterator[View] | list[View]") -> tuple[View, ...]:
    straight = tuple(views)
    return (*straight, *(replace(view, mirrored=True) for view in straight))


def _middle(whole: Size, size: Size) -> Box:
    return _middle_of((0, 0, *whole), size)


def _middle_of(box: Box, size: Size) -> Box:
    top, left, rows, columns = box
    return top + round((rows - size[0]) / 2), left + round((columns - size[1]) / 2), *size


def _corners(box: Box, size: Size) -> list[Box]:
    top, left, rows, columns = box
    return [
        (y, x, *size) for y in (top, top + rows - size[0]) for x in (left, left + columns - size[1])
    ]


def _three_squares(whole: Size) -> list[Box]:
    """Give the squares at both ends of the longer side and in the middle."""
    side = min(whole)
    spare = max(whole) - side
    ends = (0, round(spare / 2), spare)
    if whole[0] > whole[1]:
        return [(at, 0, side, side) for at in ends]
    return [(0, at, side, side) for at in ends]
