"""Pictures of segmentations: masks with a palette, overlays, and what a network got wrong."""

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convatlas.errors import InputError

# Okabe and Ito 2008: eight colours that people with any colour vision tell apart; black is class 0
_COLOURS = ("000000", "e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7")
_GOLDEN = 0.618034  # of a turn: hues that follow each other are far apart
_FILL = 0.35  # opacity of a class over the image
_PAPER = (255, 255, 255)

# of what a network finds and of what it misses; right pixels stay grey
FALSE, MISSED = (86, 180, 233), (213, 94, 0)


def palette() -> NDArray[np.uint8]:
    """Give the colour of each value of a mask, (256, 3); 255 (no class) is white."""
    known = [tuple(bytes.fromhex(colour)) for colour in _COLOURS]
    for number in range(len(known), 255):
        value = 0.95 - 0.15 * (number // 8 % 4)
        red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.65, value)
        known.append((round(255 * red), round(255 * green), round(255 * blue)))
    return np.array([*known, (255, 255, 255)], np.uint8)


def mask_image(classes: NDArray[np.uint8]) -> Image.Image:
    """Make a picture whose pixels are numbers of classes, shown in colours: mode "P".

    Args:
        classes: (H, W), uint8.
    """
    image = Image.fromarray(classes).convert("P")
    image.putpalette(palette().ravel().tolist())
    return image


def overlay_mask(image: Image.Image, classes: NDArray[np.uint8]) -> Image.Image:
    """Lay the colours of classes over an image; class 0 stays clear, edges are drawn whole.

    Args:
        image: Any mode.
        classes: (H, W), uint8, of the image's size.

    Returns:
        RGB, of the image's size.

    Raises:
        InputError: The sizes differ.
    """
    pixels = _rgb(image, classes)
    colours = palette()[classes].astype(np.float32)
    opacity = np.where(edges(classes), 1.0, _FILL)[..., None] * (classes != 0)[..., None]
    return Image.fromarray((pixels * (1 - opacity) + colours * opacity).round().astype(np.uint8))


def mistakes(
    image: Image.Image, truth: NDArray[np.uint8], predicted: NDArray[np.uint8]
) -> Image.Image:
    """Show where a prediction is wrong, over a grey and paler image.

    Blue: a class other than 0 where there is another; orange: class 0 where there is one.

    Raises:
        InputError: The sizes differ.
    """
    _rgb(image, predicted)
    grey = _rgb(image.convert("L"), truth) * 0.6 + 0.4 * 255
    wrong = (truth != predicted) & (truth != 255)
    grey[wrong & (predicted != 0)] = FALSE
    grey[wrong & (predicted == 0)] = MISSED
    return Image.fromarray(grey.round().astype(np.uint8))


def edges(classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say which pixels have a neighbour of another class, at a side: (H, W)."""
    found = np.zeros(classes.shape, bool)
    down, right = classes[1:] != classes[:-1], classes[:, 1:] != classes[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= right
    found[:, :-1] |= right
    return found


def side_by_side(pictures: list[Image.Image], gap: int = 6) -> Image.Image:
    """Set pictures of one height beside each other, on white."""
    width = sum(picture.width for picture in pictures) + gap * (len(pictures) - 1)
    canvas = Image.new("RGB", (width, max(p.height for p in pictures)), _PAPER)
    left = 0
    for picture in pictures:
        canvas.paste(picture.convert("RGB"), (left, 0))
        left += picture.width + gap
    return canvas


def _rgb(image: Image.Image, classes: NDArray[np.uint8]) -> NDArray[np.float32]:
    if classes.shape != (image.height, image.width):
        raise InputError(
            f"a mask of {classes.shape} does not fit an image of {(image.height, image.width)}"
        )
    return np.asarray(image.convert("RGB")).astype(np.float32)
