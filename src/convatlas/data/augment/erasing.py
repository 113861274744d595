"""Hide a part of an image, so that a network learns to do without it."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from convatlas.data.augment.op import check_span, drawn_sides
from convatlas.errors import InputError

_TRIES = 100


@dataclass(frozen=True, slots=True)
class RandomErasing:
    """Replace a box of random area, proportions and place (Zhong et al. 2017, algorithm 1).

    Where a hundred boxes in a row do not fit, the image stays as it is.

    Attributes:
        chance: How many of the images have a box, as a fraction.
        area: Least and greatest fraction of the image's area; the paper: 0.02 to 0.4.
        aspect: Least and greatest height / width; the logarithm is drawn uniformly.
        fill: Grey value, 0 to 255, that replaces the box; None: noise, which the paper found best.
    """

    chance: float = 0.5
    area: tuple[float, float] = (0.02, 0.4)
    aspect: tuple[float, float] = (0.3, 1 / 0.3)
    fill: int | None = None

    def __post_init__(self) -> None:
        """Refuse ranges that no box can be drawn from."""
        if not 0 <= self.chance <= 1:
            raise InputError(f"RandomErasing takes a chance of 0 to 1, not {self.chance!r}")
        check_span(self, "area", 0, 1)
        check_span(self, "aspect", 0)
        if not self.aspect[0] > 0:
            raise InputError(f"RandomErasing takes an aspect above 0, not {self.aspect!r}")
        if self.fill is not None and not 0 <= self.fill <= 255:
            raise InputError(f"RandomErasing takes a fill of 0 to 255, not {self.fill!r}")

    def __call__(
        self,
        image: Image.Image,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> Image.Image:
        """Give the image with, or without, its box."""
        if rng.random() >= self.chance:
            return image
        for _ in range(_TRIES):
            pixels = image.height * image.width
            height, width = drawn_sides(pixels, self.area, self.aspect, rng)
            if 0 < height < image.height and 0 < width < image.width:
                return self._erased(image, height, width, rng)
        return image

    def _erased(
        self, image: Image.Image, height: int, width: int, rng: np.random.Generator
    ) -> Image.Image:
        top = int(rng.integers(image.height - height, endpoint=True))
        left = int(rng.integers(image.width - width, endpoint=True))
        pixels = np.array(image)
        box = pixels[top : top + height, left : left + width]
        box[:] = rng.integers(256, size=box.shape) if self.fill is None else self.fill
        return Image.fromarray(pixels)
