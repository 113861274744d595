"""Random changes of a training image: frozen data that answers `op(image, size, rng) -> image`.

No torch here: recipes are made of these, and recipes are pure data.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image


@runtime_checkable
class Augmentation(Protocol):
    """What changes a training image at random."""

    def __call__(
        self, image: Image.Image, size: tuple[int, int], rng: np.random.Generator
    ) -> Image.Image:
        """Give the changed image; `size` is the (height, width) that the network takes."""
        ...
