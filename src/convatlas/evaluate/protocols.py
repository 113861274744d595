"""Which parts of an image a network is shown, and what is averaged: test protocols as values.

Each paper tests in a way of its own, and the errors it prints hold for that way alone. A protocol
lists views of an image; none of them reads a pixel, so that they can be counted and compared.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol

from convatlas.data.augment import shorter_side_to
from convatlas.data.preprocess import Preprocessing
from convatlas.errors import InputError, unknown
from convatlas.evaluate.views import (
    Size,
    View,
    corners,
    in_proportion,
    inner_size,
    middle,
    middle_of,
    own_scale,
    resized,
    three_squares,
    view_of,
    whole_view,
    with_mirrors,
)

GOOGLENET_SCALES = (256, 288, 320, 352)  # for 224 pixels, as the next
RESNET_SCALES = (224, 256, 384, 480, 640)
Average = Literal["probabilities", "logits"]


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

    average: ClassVar[Average] = "probabilities"
    dense: ClassVar[bool] = False

    def views(self, image: Size, preprocessing: Preprocessing) -> tuple[View, ...]:
        """Give the centre, or all of a stretched image."""
        size = inner_size(preprocessing)
        shorter = preprocessing.resize_shorter
        whole = size if shorter is None else shorter_side_to(image, shorter)
        return (view_of(whole, middle(whole, size)),)


@dataclass(frozen=True, slots=True)
class TenCrop:
    """Four corners and the centre of the middle square, and their mirror images.

    Krizhevsky et al. 2012, sections 2 and 4.1: 227 (the paper prints 224) of 256 pixels, the mean
    of ten softmax outputs.
    """

    average: ClassVar[Average] = "probabilities"
    dense: ClassVar[bool] = False

    def views(self, image: Size, preprocessing: Preprocessing) -> tuple[View, ...]:
        """Give ten views; the square has the side to which the preprocessing resizes.

        Where that leaves no margin, it is 256/224 times as large as the network's input.
        """
        size, scale = inner_size(preprocessing), own_scale(preprocessing)
        whole = resized(image, preprocessing, scale)
        square = middle(whole, (min(whole[0], scale), min(whole[1], scale)))
        places = [*corners(square, size), middle(whole, size)]
        return with_mirrors(view_of(whole, place) for place in places)


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
    """

    scales: tuple[int, ...] | None = None
    average: ClassVar[Average] = "probabilities"
    dense: ClassVar[bool] = False

    def views(self, image: Size, preprocessing: Preprocessing) -> tuple[View, ...]:
        """Give 144 views, or 36 for each size."""
        size = inner_size(preprocessing)
        found = []
        for scale in self.scales or in_proportion(GOOGLENET_SCALES, size):
            if scale < max(size):
                raise InputError(f"images of {scale} pixels are too small for views of {max(size)}")
            whole = resized(image, preprocessing, scale)
            for square in three_squares(whole):
                places = [*corners(square, size), middle_of(square, size)]
                found += [view_of(whole, place) for place in places]
                found.append(View(whole, square, size))
        return with_mirrors(found)


@dataclass(frozen=True, slots=True)
class Dense:
    """The whole image in one or several sizes, fully convolutionally: the mean over its places.

    Simonyan and Zisserman 2014, section 3.2: the logits of the class map are averaged, the
    posteriors of the image and of its mirror image too, and those of several sizes (section 4.2:
    256, 384 and 512 pixels for a network that was trained with scale jitter).

    Attributes:
        scales: Shorter sides in pixels; None: the one that the preprocessing resizes to.
    """

    scales: tuple[int, ...] | None = None
    average: ClassVar[Average] = "probabilities"
    dense: ClassVar[bool] = True

    def views(self, image: Size, preprocessing: Preprocessing) -> tuple[View, ...]:
        """Give two views for each size."""
        scales = self.scales or (own_scale(preprocessing),)
        return with_mirrors(whole_view(image, preprocessing, scale) for scale in scales)


@dataclass(frozen=True, slots=True)
class MultiScale:
    """The whole image in five sizes, fully convolutionally: the mean of the scores.

    He et al. 2015, section 3.4: the shorter side becomes 224, 256, 384, 480 and 640 pixels. The
    paper averages "the scores", here the logits, and tells of no mirror images.

    Attributes:
        scales: Shorter sides in pixels; None: the paper's, in proportion where a network does not
            take 224 pixels.
    """

    scales: tuple[int, ...] | None = None
    average: ClassVar[Average] = "logits"
    dense: ClassVar[bool] = True

    def views(self, image: Size, preprocessing: Preprocessing) -> tuple[View, ...]:
        """Give one view for each size."""
        scales = self.scales or in_proportion(RESNET_SCALES, inner_size(preprocessing))
        return tuple(whole_view(image, preprocessing, scale) for scale in scales)


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
