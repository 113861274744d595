"""What an image is on its way to the network: a picture, or its pixels in an array.

Files of the kind JPEG are decoded into arrays, and torch resizes arrays; a change that can do with
either spares the copies between the two.
"""

import numpy as np
from PIL import Image

View = Image.Image | np.ndarray  # in mode "L" or "RGB"; or pixels (H, W, C), uint8, C = 1 or 3


def size_of(view: View) -> tuple[int, int]:
    """Give height and width."""
    if isinstance(view, np.ndarray):
        return view.shape[0], view.shape[1]
    return view.height, view.width


def mode_of(view: View) -> str:
    """Give Pillow's name of the colour mode: "L" or "RGB"."""
    if isinstance(view, np.ndarray):
        return "L" if view.shape[2] == 1 else "RGB"
    return view.mode


def cut(view: View, top: int, left: int, height: int, width: int) -> View:
    """Give a part; it must lie inside."""
    if isinstance(view, np.ndarray):
        return view[top : top + height, left : left + width]
    return view.crop((left, top, left + width, top + height))


def as_pixels(view: View) -> np.ndarray:
    """Give the pixels (H, W, C), uint8; those of a picture can't be written to."""
    if isinstance(view, np.ndarray):
        return view
    return np.asarray(view).reshape(view.height, view.width, -1)


def as_picture(view: View) -> Image.Image:
    """Give a picture: grey for one channel, RGB for three."""
    if isinstance(view, Image.Image):
        return view
    grey = view.shape[2] == 1
    return Image.fromarray(np.ascontiguousarray(view[:, :, 0] if grey else view))
