"""What every random change of an image is, and what several of them share."""

import math
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from convatlas.data.view import View, as_picture, size_of
from convatlas.errors import InputError

Interpolation = Literal["nearest", "bilinear", "bicubic", "area"]

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,  # the mean of what a pixel covers
}


@runtime_checkable
class Augmentation(Protocol):
    """What changes a training image at random."""

    def __call__(
        self, image: Image.Image, size: tuple[int, int], rng: np.random.Generator
    ) -> Image.Image:
        """Give the changed image; `size` is the (height, width) that the network takes."""
        ...


class ViewChange:
    """An `Augmentation` that can do with an array of pixels too, and says in `on_view` how.

    On the way of a batch that spares the copies between arrays and pictures.
    """

    __slots__ = ()

    def __call__(
        self, image: Image.Image, size: tuple[int, int], rng: np.random.Generator
    ) -> Image.Image:
        """Give the changed image."""
        return as_picture(self.on_view(image, size, rng))

    def on_view(self, view: View, size: tuple[int, int], rng: np.random.Generator) -> View:
        """Give the changed image, as a picture or as pixels: whichever is at hand."""
        raise NotImplementedError


def shorter_side_to(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """Give a (height, width) scaled so that the shorter side is `shorter` pixels.

    The longer side is cut to whole pixels, as torchvision does.
    """
    height, width = size
    if height < width:
        return shorter, int(shorter * width / height)
    return int(shorter * height / width), shorter


def stretched(view: View, size: tuple[int, int], interpolation: Interpolation = "bilinear") -> View:
    """Give the image in another (height, width), in whatever proportions."""
    if size_of(view) == size:
        return view
    from convatlas.data.resize import by_torch  # here: recipes are made of ops, without torch

    pixels = by_torch(view, size, interpolation)
    if pixels is None:
        return as_picture(view).resize(size[::-1], RESAMPLING[interpolation])
    return pixels


def covering(view: View, size: tuple[int, int]) -> View:
    """Enlarge an image in its own proportions until a crop of (height, width) fits in it."""
    height, width = size
    rows, columns = size_of(view)
    factor = max(height / rows, width / columns)
    if factor <= 1:
        return view
    return stretched(view, (max(height, round(rows * factor)), max(width, round(columns * factor))))


def drawn_sides(
    pixels: int,
    area: tuple[float, float],
    aspect: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Draw a box: a fraction of the area of `pixels` in `area`, first side / second in `aspect`.

    Returns:
        The two sides; whether they fit is for the caller to see.
    """
    part = rng.uniform(*area) * pixels
    ratio = math.exp(rng.uniform(math.log(aspect[0]), math.log(aspect[1])))
    return round(math.sqrt(part * ratio)), round(math.sqrt(part / ratio))


def check_span(op: Augmentation, name: str, least: float, most: float = float("inf")) -> None:
    """Refuse a field of two values that is no range within `least..most`.

    Raises:
        InputError: It is none; the message names the op and the field.
    """
    low, high = getattr(op, name)
    if not least <= low <= high <= most:
        raise InputError(
            f"{type(op).__name__} takes {least} <= low <= high <= {most} for {name}, not "
            f"{low}..{high}"
        )
