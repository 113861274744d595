"""Odd colour modes made plain: "L" or "RGB", eight bits."""

import numpy as np
from PIL import Image

from convatlas.errors import InputError


def plain(image: Image.Image) -> Image.Image:
    """Give `image` in mode "L" or "RGB".

    Transparent parts are shown on white. 16-bit greys are scaled from 0..65535, floating-point
    greys from 0..1.

    Raises:
        InputError: Greys of 32 bits outside these ranges: nobody can know what is white.
    """
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image)
    if image.has_transparency_data:
        return _on_white(image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    white = 1.0 if image.mode.startswith("F") else 65535.0
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= white):  # also true of NaN
        raise InputError(
            f"the greys lie in {low:g}..{high:g}; 8-bit, 16-bit or 0..1 floating-point greys "
            "have a known white"
        )
    return Image.fromarray((values * (255 / white)).round().astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    grey = image.mode in ("LA", "La")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("L" if grey else "RGB")
