"""Images that go on beyond their borders, as their own mirror image (Ronneberger et al. 2015).

The pixel at the border stands once, as in numpy's "reflect"; an image that is smaller than what
is asked for is mirrored again and again. No torch here: augmentation is made of these.
"""

import numpy as np


def mirrored(places: np.ndarray, size: int) -> np.ndarray:
    """Fold places on an endless line back to 0..size - 1; whole ones stay whole.

    Args:
        places: Any numbers: -1 is folded to 1, and `size` to `size - 2`.
        size: Pixels of the image along this axis, at least 1.
    """
    if size == 1:
        return np.zeros_like(places)
    period = 2 * (size - 1)
    folded = np.abs(places) % period
    return np.minimum(folded, period - folded)


def window(array: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """Cut a window out of an image that is mirrored at its borders.

    Args:
        array: (H, W) or (H, W, channels).
        top: First row; may be negative or beyond the image.
        left: First column, likewise.
        height: Rows of the window.
        width: Its columns.
    """
    rows = mirrored(np.arange(top, top + height), array.shape[0])
    columns = mirrored(np.arange(left, left + width), array.shape[1])
    return array[rows[:, None], columns]


def bilinear(pixels: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Read an image between its pixels, mirrored at its borders.

    Args:
        pixels: (H, W, channels).
        rows: Where to read; 0.5 is halfway between the first two rows; (h, w).
        columns: Likewise, (h, w).

    Returns:
        (h, w, channels), float32.
    """
    top, left = np.floor(rows), np.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    at = [mirrored(top.astype(np.intp) + i, pixels.shape[0]) for i in (0, 1)]
    to = [mirrored(left.astype(np.intp) + i, pixels.shape[1]) for i in (0, 1)]
    above = pixels[at[0], to[0]] * (1 - right) + pixels[at[0], to[1]] * right
    below = pixels[at[1], to[0]] * (1 - right) + pixels[at[1], to[1]] * right
    return (above * (1 - down) + below * down).astype(np.float32)


def nearest(array: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Read the nearest pixels of an image that is mirrored at its borders.

    Args:
        array: (H, W).
        rows: Where to read, (h, w).
        columns: Likewise.

    Returns:
        (h, w), of the type of `array`: classes stay classes.
    """
    row = mirrored(np.rint(rows).astype(np.intp), array.shape[0])
    return array[row, mirrored(np.rint(columns).astype(np.intp), array.shape[1])]
