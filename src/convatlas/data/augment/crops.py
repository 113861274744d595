"""Parts of an image, most of them in the network's size."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from convatlas.data.augment.op import (
    RESAMPLING,
    Interpolation,
    check_span,
    covering,
    drawn_sides,
    stretched,
)
from convatlas.errors import InputError, suggest

_TRIES = 10  # then the whole image, as in torchvision and TensorFlow
_BORDERS = ("black", "mirror")


@dataclass(frozen=True, slots=True)
class PadCrop:
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

    def __call__(
        self, image: Image.Image, size: tuple[int, int], rng: np.random.Generator
    ) -> Image.Image:
        """Give a crop of `size`."""
        image = stretched(image, size)
        if self.border == "black":
            padded = ImageOps.expand(image, self.padding)
        else:
            padded = _mirrored_border(image, self.padding)
        return _cropped_at_random(padded, size, rng)


@dataclass(frozen=True, slots=True)
class CenterCrop:
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

    def __call__(
        self,
        image: Image.Image,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Image.Image:
        """Give the square."""
        image = covering(image, (self.side, self.side))
        return _cropped(image, (self.side, self.side), 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class RandomCrop:
    """Crop the network's size at random (Krizhevsky et al. 2012, section 4.1).

    An image that is smaller is first enlarged, in its own proportions, until the crop fits.
    """

    def __call__(
        self, image: Image.Image, size: tuple[int, int], rng: np.random.Generator
    ) -> Image.Image:
        """Give a crop of `size`."""
        return _cropped_at_random(covering(image, size), size, rng)


@dataclass(frozen=True, slots=True)
class CornerCrop:
    """Crop the network's size from a corner or the centre (Zeiler & Fergus 2014, section 3.1).

    The five are equally likely. An image that is smaller is first enlarged, in its own
    proportions, until the crop fits.
    """

    def __call__(
        self, image: Image.Image, size: tuple[int, int], rng: np.random.Generator
    ) -> Image.Image:
        """Give a crop of `size`."""
        places = ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5))
        return _cropped(covering(image, size), size, *places[int(rng.integers(len(places)))])


@dataclass(frozen=True, slots=True)
class AreaCrop:
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

    def __call__(
        self, image: Image.Image, size: tuple[int, int], rng: np.random.Generator
    ) -> Image.Image:
        """Give the part in its new `size`."""
        box = self._box(image.height, image.width, rng)
        name = self.interpolations[int(rng.integers(len(self.interpolations)))]
        return stretched(image.crop(box), size, name)

    def _box(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        for _ in range(_TRIES):
            columns, rows = drawn_sides(height * width, self.area, self.aspect, rng)
            if 0 < rows <= height and 0 < columns <= width:
                top = int(rng.integers(height - rows, endpoint=True))
                left = int(rng.integers(width - columns, endpoint=True))
                return left, top, left + columns, top + rows
        aspect = min(max(width / height, self.aspect[0]), self.aspect[1])
        rows = max(1, min(height, round(width / aspect)))
        columns = max(1, min(width, round(height * aspect)))
        left, top = (width - columns) // 2, (height - rows) // 2
        return left, top, left + columns, top + rows


def _mirrored_border(image: Image.Image, width: int) -> Image.Image:
    pixels = np.asarray(image)
    around = ((width, width), (width, width), (0, 0))[: pixels.ndim]
    return Image.fromarray(np.pad(pixels, around, mode="reflect"))


def _cropped(image: Image.Image, size: tuple[int, int], down: float, right: float) -> Image.Image:
    """Crop `size` where 0 is the first place along an axis and 1 the last one."""
    height, width = size
    top, left = int((image.height - height) * down), int((image.width - width) * right)
    return image.crop((left, top, left + width, top + height))


def _cropped_at_random(
    image: Image.Image, size: tuple[int, int], rng: np.random.Generator
) -> Image.Image:
    height, width = size
    top = int(rng.integers(image.height - height, endpoint=True))
    left = int(rng.integers(image.width - width, endpoint=True))
    return image.crop((left, top, left + width, top + height))
