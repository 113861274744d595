"""Changes of colour and light; the size and the shapes stay."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from convatlas.data.augment.op import ViewChange
from convatlas.data.view import View, as_pixels, mode_of
from convatlas.errors import InputError

# Principal axes of the RGB values of ImageNet, one a column, and the spread along each for
# values in [0, 1]: facebook/fb.resnet.torch, datasets/imagenet.lua. The paper prints none.
_COLOUR_AXES = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)
_COLOUR_SPREAD = np.array([0.2175, 0.0188, 0.0045])


@dataclass(frozen=True, slots=True)
class PcaColor(ViewChange):
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

    def on_view(
        self,
        view: View,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> View:
        """Give the image in its new colours."""
        shift = 255 * _COLOUR_AXES @ (rng.normal(0.0, self.std, 3) * _COLOUR_SPREAD)
        if mode_of(view) != "RGB":
            return view
        pixels = as_pixels(view)
        rows = pixels.reshape(len(pixels), -1)  # whole rows: an axis of three is slow in numpy
        shifts = np.tile(shift.round().clip(-255, 255).astype(np.int16), pixels.shape[1])
        return (rows + shifts).clip(0, 255).astype(np.uint8).reshape(pixels.shape)


@dataclass(frozen=True, slots=True)
class ColorJitter:
    """Change brightness, contrast, saturation and hue, in random order.

    The photometric distortions of Howard (2013), who draws the first three factors from 0.5 to
    1.5, and the `ColorJitter` of facebook/fb.resnet.torch with 0.4. A factor is drawn uniformly
    from max(0, 1 - field) to 1 + field; it blends the image with black, with its mean grey, or
    with its grey version. A grey image keeps its saturation and hue.

    Attributes:
        brightness: Farthest that the factor lies from 1.
        contrast: Likewise.
        saturation: Likewise.
        hue: Farthest turn of the hues either way, as a fraction of the colour circle.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        """Refuse ranges below 0, and more than the whole circle."""
        if min(self.brightness, self.contrast, self.saturation) < 0 or not 0 <= self.hue <= 0.5:
            raise InputError(f"ColorJitter takes ranges of at least 0, and a hue to 0.5: {self}")

    def __call__(
        self,
        image: Image.Image,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> Image.Image:
        """Give the image in its new colours."""
        changes: tuple[tuple[Callable[[Image.Image, float], Image.Image], float], ...] = (
            (_brightness, self._factor(self.brightness, rng)),
            (_contrast, self._factor(self.contrast, rng)),
            (_saturation, self._factor(self.saturation, rng)),
            (_turned_hue, rng.uniform(-self.hue, self.hue)),
        )
        for number in rng.permutation(len(changes)):
            change, amount = changes[number]
            image = change(image, amount)
        return image

    @staticmethod
    def _factor(most: float, rng: np.random.Generator) -> float:
        return rng.uniform(max(0.0, 1 - most), 1 + most)


def _brightness(image: Image.Image, factor: float) -> Image.Image:
    return image if factor == 1 else ImageEnhance.Brightness(image).enhance(factor)


def _contrast(image: Image.Image, factor: float) -> Image.Image:
    return image if factor == 1 else ImageEnhance.Contrast(image).enhance(factor)


def _saturation(image: Image.Image, factor: float) -> Image.Image:
    return image if factor == 1 else ImageEnhance.Color(image).enhance(factor)


def _turned_hue(image: Image.Image, turn: float) -> Image.Image:
    if not turn or image.mode != "RGB":
        return image
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(level + round(turn * 256)) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")
