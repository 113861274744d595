"""Random changes of a training image: frozen data that answers `op(image, size, rng) -> image`.

Each op keeps the image's mode ("L" or "RGB") and takes all its chance from `rng`, so that equal
generators give equal images. `size` is the (height, width) that the network takes. No torch here:
recipes are made of these, and recipes are pure data.
"""

import math
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageOps

from convatlas.errors import InputError

Interpolation = Literal["nearest", "bilinear", "bicubic"]

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}

# Principal axes of the RGB values of ImageNet, one a column, and the spread along each for
# values in [0, 1]: facebook/fb.resnet.torch, datasets/imagenet.lua. The paper prints none.
_COLOUR_AXES = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)
_COLOUR_SPREAD = np.array([0.2175, 0.0188, 0.0045])


@runtime_checkable
class Augmentation(Protocol):
    """What changes a training image at random."""

    def __call__(
        self, image: Image.Image, size: tuple[int, int], rng: np.random.Generator
    ) -> Image.Image:
        """Give the changed image; `size` is the (height, width) that the network takes."""
        ...


@dataclass(frozen=True, slots=True)
class Resize:
    """Bring the image to the network's size; without chance.

    First in a recipe and without an interpolation, it is done by the preprocessing, so that
    training and test images get the same border or crop, and once instead of once an epoch.

    Attributes:
        interpolation: Stretch with this one; None: as the preprocessing does.
    """

    interpolation: Interpolation | None = None

    def __post_init__(self) -> None:
        """Refuse an interpolation that there is none of."""
        if self.interpolation not in (None, *RESAMPLING):
            raise InputError(
                f"Resize takes {', '.join(RESAMPLING)} or None, not {self.interpolation!r}"
            )

    def __call__(
        self,
        image: Image.Image,
        size: tuple[int, int],
        rng: np.random.Generator,  # noqa: ARG002
    ) -> Image.Image:
        """Give the image stretched to `size`."""
        return _stretched(image, size, self.interpolation or "bilinear")


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
class Flip:
    """Mirror left and right, every second time on average; the size stays."""

    def __call__(
        self,
        image: Image.Image,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> Image.Image:
        """Give the image or its mirror image."""
        return ImageOps.mirror(image) if rng.random() < 0.5 else image


@dataclass(frozen=True, slots=True)
class PadCrop:
    """Pad with black, then crop the network's size at random (He et al. 2015, section 4.2).

    An image of another size is first brought to the network's, by the preprocessing where this is
    the first change, otherwise stretched: `padding` counts pixels of the network's input.
    """

    padding: int = 4

    def __post_init__(self) -> None:
        """Refuse a negative border."""
        if self.padding < 0:
            raise InputError(f"PadCrop takes a padding of at least 0, not {self.padding!r}")

    def __call__(
        self, image: Image.Image, size: tuple[int, int], rng: np.random.Generator
    ) -> Image.Image:
        """Give a crop of `size`."""
        padded = ImageOps.expand(_stretched(image, size, "bilinear"), self.padding)
        return _cropped_at_random(padded, size, rng)


@dataclass(frozen=True, slots=True)
class RandomCrop:
    """Crop the network's size at random (Krizhevsky et al. 2012, section 4.1).

    An image that is smaller is first enlarged, in its own proportions, until the crop fits.
    """

    def __call__(
        self, image: Image.Image, size: tuple[int, int], rng: np.random.Generator
    ) -> Image.Image:
        """Give a crop of `size`."""
        height, width = size
        factor = max(height / image.height, width / image.width)
        if factor > 1:
            enlarged = (
                max(height, round(image.height * factor)),
                max(width, round(image.width * factor)),
            )
            image = _stretched(image, enlarged, "bilinear")
        return _cropped_at_random(image, size, rng)


@dataclass(frozen=True, slots=True)
class ScaleJitter:
    """Resize the shorter side to a random length in `low..high` (Simonyan & Zisserman 2014, 3.1).

    The proportions stay; `RandomCrop` usually follows.
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        """Refuse an empty range."""
        if not 1 <= self.low <= self.high:
            raise InputError(f"ScaleJitter takes 1 <= low <= high, not {self.low}..{self.high}")

    def __call__(
        self,
        image: Image.Image,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> Image.Image:
        """Give the image in its new size."""
        shorter = int(rng.integers(self.low, self.high, endpoint=True))
        return _stretched(image, shorter_side_to(image, shorter), "bilinear")


@dataclass(frozen=True, slots=True)
class PcaColor:
    """Shift the colours along the principal axes of ImageNet's (Krizhevsky et al. 2012, 4.1).

    One shift an image, the same for each pixel, cut to 0..255. A grey image has no colour to
    shift and stays as it is.

    Attributes:
        std: Standard deviation of the shift along an axis, in units of the spread along it.
    """

    std: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a negative deviation."""
        if self.std < 0:
            raise InputError(f"PcaColor takes a std of at least 0, not {self.std!r}")

    def __call__(
        self,
        image: Image.Image,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> Image.Image:
        """Give the image in its new colours."""
        shift = 255 * _COLOUR_AXES @ (rng.normal(0.0, self.std, 3) * _COLOUR_SPREAD)
        if image.mode != "RGB":
            return image
        values = np.arange(256) + shift[:, None]
        return image.point(values.round().clip(0, 255).astype(int).ravel().tolist())


def shorter_side_to(image: Image.Image, shorter: int) -> tuple[int, int]:
    """Give the (height, width) of `image` scaled so that its shorter side is `shorter` pixels.

    The longer side is cut to whole pixels, as torchvision does.
    """
    height, width = image.height, image.width
    if height < width:
        return shorter, int(shorter * width / height)
    return int(shorter * height / width), shorter


def _stretched(
    image: Image.Image, size: tuple[int, int], interpolation: Interpolation
) -> Image.Image:
    height, width = size
    if image.size == (width, height):
        return image
    return image.resize((width, height), RESAMPLING[interpolation])


def _cropped_at_random(
    image: Image.Image, size: tuple[int, int], rng: np.random.Generator
) -> Image.Image:
    height, width = size
    top = int(rng.integers(image.height - height, endpoint=True))
    left = int(rng.integers(image.width - width, endpoint=True))
    return image.crop((left, top, left + width, top + height))
