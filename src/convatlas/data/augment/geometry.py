"""Changes of an image's size, place and orientation as a whole."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from convatlas.data.augment.op import (
    RESAMPLING,
    Interpolation,
    ViewChange,
    shorter_side_to,
    stretched,
)
from convatlas.data.view import View, size_of
from convatlas.errors import InputError


@dataclass(frozen=True, slots=True)
class Resize(ViewChange):
    """Stretch the image to the network's size, or to a square; without chance.

    First in a recipe and without fields, it is done by the preprocessing, so that training and
    test images get the same border or crop, and once instead of once an epoch.

    Attributes:
        interpolation: Stretch with this one; None: as the preprocessing does.
        side: Stretch to a square of this many pixels, to be cropped later; None: to the network's
            size.
    """

    interpolation: Interpolation | None = None
    side: int | None = None

    def __post_init__(self) -> None:
        """Refuse an interpolation that there is none of, and a square without pixels."""
        if self.interpolation not in (None, *RESAMPLING):
            raise InputError(
                f"Resize takes {', '.join(RESAMPLING)} or None, not {self.interpolation!r}"
            )
        if self.side is not None and self.side < 1:
            raise InputError(f"Resize takes a side of at least 1, not {self.side!r}")

    def on_view(
        self,
        view: View,
        size: tuple[int, int],
        rng: np.random.Generator,  # noqa: ARG002
    ) -> View:
        """Give the image stretched to `size`, or to the square."""
        if self.side is not None:
            size = (self.side, self.side)
        return stretched(view, size, self.interpolation or "bilinear")


@dataclass(frozen=True, slots=True)
class Affine:
    """Turn, scale, shear and move the image about its centre; the size stays.

    The distortions of LeCun et al. 1998, section III-C, each drawn uniformly.

    Attributes:
        degrees: Turned by up to this many degrees either way.
        translate: Moved by up to this fraction of the height and of the width.
        scale: Least and greatest factor.
        shear: Sheared horizontally by up to this many degrees either way.
        fill: Grey value, 0 to 255, of what comes in from outside.
    """

    degrees: float = 0.0
    translate: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0
    fill: int = 0

    def __post_init__(self) -> None:
        """Refuse ranges that no image can be drawn from."""
        low, high = self.scale
        if self.degrees < 0 or self.translate < 0 or not 0 < low <= high:
            raise InputError(f"Affine takes ranges of at least 0 and 0 < low <= high: {self}")
        if not 0 <= self.shear < 90:
            raise InputError(f"Affine takes a shear of 0 to 90 degrees, not {self.shear!r}")
        if not 0 <= self.fill <= 255:
            raise InputError(f"Affine takes a fill of 0 to 255, not {self.fill!r}")

    def __call__(
        self,
        image: Image.Image,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> Image.Image:
        """Give the image seen through a random affine map."""
        angle, slant, right, down = rng.uniform(-1, 1, 4) * (
            math.radians(self.degrees),
            math.radians(self.shear),
            self.translate * image.width,
            self.translate * image.height,
        )
        scale = rng.uniform(*self.scale)
        # Pillow asks where each output pixel comes from: the inverse of shear, scale and turn
        cos, sin, tan = math.cos(angle) / scale, math.sin(angle) / scale, math.tan(slant)
        a, b, d, e = cos + tan * sin, sin - tan * cos, -sin, cos
        x, y = image.width / 2, image.height / 2
        c = x - a * (x + right) - b * (y + down)
        f = y - d * (x + right) - e * (y + down)
        return image.transform(
            image.size,
            Image.Transform.AFFINE,
            (a, b, c, d, e, f),
            resample=Image.Resampling.BILINEAR,
            fillcolor=(self.fill,) * 3 if image.mode == "RGB" else self.fill,
        )


@dataclass(frozen=True, slots=True)
class Flip(ViewChange):
    """Mirror left and right, every second time on average; the size stays."""

    def on_view(
        self,
        view: View,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> View:
        """Give the image or its mirror image."""
        if rng.random() >= 0.5:
            return view
        if isinstance(view, Image.Image):
            return ImageOps.mirror(view)
        from convatlas.data.resize import mirrored  # here: recipes are made of ops, without torch

        return mirrored(view)


@dataclass(frozen=True, slots=True)
class ScaleJitter(ViewChange):
    """Resize the shorter side to a random length in `low..high` (Simonyan & Zisserman 2014, 3.1).

    The proportions stay; `RandomCrop` usually follows.
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        """Refuse an empty range."""
        if not 1 <= self.low <= self.high:
            raise InputError(f"ScaleJitter takes 1 <= low <= high, not {self.low}..{self.high}")

    def on_view(
        self,
        view: View,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> View:
        """Give the image in its new size."""
        shorter = int(rng.integers(self.low, self.high, endpoint=True))
        return stretched(view, shorter_side_to(size_of(view), shorter), "bilinear")
