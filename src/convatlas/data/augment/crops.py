"""Parts of an image, most of them in the network's size."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from convatlas.data.augment.op import (
    RESAMPLING,
    Interpolation,
    ViewChange,
    check_span,
    covering,
    drawn_sides,
    stretched,
)
from convatlas.data.view import View, as_pixels, cut, size_of
from convatlas.errors import InputError, suggest

_TRIES = 10  # then the whole image, as in torchvision and TensorFlow
_BORDERS = ("black", "mirror")


@dataclass(frozen=True, slots=True)
class PadCrop(ViewChange):
    """Pad, then crop the network's size at random (He et al. 2015, section 4.2).

    An image of another size is first brought to the network's, by the preprocessing where this is
    the first change, otherwise stretched: `padding` counts pixels of the network's input.

    Attributes:
        padding: Pixels that are added at each side.
        border: What they show: black, or the image mirrored at its outermost pixels (the code of
            Zagoruyko & Komodakis 2016).
    """

    padding: int = 4
    border: Literal["black", "mirror"] = "black"

    def __post_init__(self) -> None:
        """Refuse a border that there is none of."""
        if self.padding < 0:
            raise InputError(f"PadCrop takes a padding of at least 0, not {self.padding!r}")
        if self.border not in _BORDERS:
            raise InputError(
                f"PadCrop has no border {self.border!r}{suggest(self.border, _BORDERS)}"
            )

    def on_view(self, view: View, size: tuple[int, int], rng: np.random.Generator) -> View:
        """Give a crop of `size`."""
        pixels, width = as_pixels(stretched(view, size)), self.padding
        if self.border == "mirror":
            padded = np.pad(pixels, ((width,) * 2, (width,) * 2, (0, 0)), mode="reflect")
        else:
            height, columns, channels = pixels.shape
            padded = np.zeros((height + 2 * width, columns + 2 * width, channels), np.uint8)
            padded[width : width + height, width : width + columns] = pixels
        return _cropped_at_random(padded, size, rng)


@dataclass(frozen=True, slots=True)
class CenterCrop(ViewChange):
    """Cut out the square in the middle; without chance.

    Krizhevsky et al. 2012, section 2, cut 256x256 so before they took random crops of it.

    Attributes:
        side: Of the square, in pixels; an image that is smaller is first enlarged, in its own
            proportions.
    """

    side: int

    def __post_init__(self) -> None:
        """Refuse a square without pixels."""
        if self.side < 1:
            raise InputError(f"CenterCrop takes a side of at least 1, not {self.side!r}")

    def on_view(
        self,
        view: View,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
    ) -> View:
        """Give the square."""
        square = self.side, self.side
        return _cropped(covering(view, square), square, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class RandomCrop(ViewChange):
    """Crop the network's size at random (Krizhevsky et al. 2012, section 4.1).

    An image that is smaller is first enlarged, in its own proportions, until the crop fits.
    """

    def on_view(self, view: View, size: tuple[int, int], rng: np.random.Generator) -> View:
        """Give a crop of `size`."""
        return _cropped_at_random(covering(view, size), size, rng)


@dataclass(frozen=True, slots=True)
class CornerCrop(ViewChange):
    """Crop the network's size from a corner or the centre (Zeiler & Fergus 2014, section 3.1).

    The five are equally likely. An image that is smaller is first enlarged, in its own
    proportions, until the crop fits.
    """

    def on_view(self, view: View, size: tuple[int, int], rng: np.random.Generator) -> View:
        """Give a crop of `size`."""
        places = ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5))
        return _cropped(covering(view, size), size, *places[int(rng.integers(len(places)))])


@dataclass(frozen=True, slots=True)
class AreaCrop(ViewChange):
    """Crop a part of random area and proportions, and bring it to the network's size.

    The training crops of GoogLeNet (Szegedy et al. 2014, section 6), which most networks after it
    took over. Where ten parts in a row do not fit, it is the whole image, its longer side cut to
    the nearest of the proportions.

    Attributes:
        area: Least and greatest fraction of the image's area; all are equally likely.
        aspect: Least and greatest width / height; the logarithm is drawn uniformly, so that high
            and wide parts are equally likely.
        interpolations: One of them resizes the part, each as likely as the others.
    """

    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    interpolations: tuple[Interpolation, ...] = ("bilinear",)

    def __post_init__(self) -> None:
        """Refuse ranges that no part can be drawn from."""
        check_span(self, "area", 0, 1)
        check_span(self, "aspect", 0)
        if not self.area[1] > 0 or not self.aspect[0] > 0:
            raise InputError(f"AreaCrop takes an area and an aspect above 0: {self}")
        if not self.interpolations:
            raise InputError("AreaCrop takes at least one interpolation")
        for name in self.interpolations:
            if name not in RESAMPLING:
                raise InputError(
                    f"AreaCrop has no interpolation {name!r}{suggest(name, RESAMPLING)}"
                )

    def on_view(self, view: View, size: tuple[int, int], rng: np.random.Generator) -> View:
        """Give the part in its new `size`."""
        box = self._box(*size_of(view), rng)
        name = self.interpolations[int(rng.integers(len(self.interpolations)))]
        return stretched(cut(view, *box), size, name)

    def _box(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Draw top, left, height and width."""
        for _ in range(_TRIES):
            columns, rows = drawn_sides(height * width, self.area, self.aspect, rng)
            if 0 < rows <= height and 0 < columns <= width:
                top = int(rng.integers(height - rows, endpoint=True))
                left = int(rng.integers(width - columns, endpoint=True))
                return top, left, rows, columns
        aspect = min(max(width / height, self.aspect[0]), self.aspect[1])
        rows = max(1, min(height, round(width / aspect)))
        columns = max(1, min(width, round(height * aspect)))
        return (height - rows) // 2, (width - columns) // 2, rows, columns


def _cropped(view: View, size: tuple[int, int], down: float, right: float) -> View:
    """Crop `size` where 0 is the first place along an axis and 1 the last one."""
    rows, columns = size_of(view)
    return cut(view, int((rows - size[0]) * down), int((columns - size[1]) * right), *size)


def _cropped_at_random(view: View, size: tuple[int, int], rng: np.random.Generator) -> View:
    top, left = (
        int(rng.integers(whole - part, endpoint=True))
        for whole, part in zip(size_of(view), size, strict=True)
    )
    return cut(view, top, left, *size)
