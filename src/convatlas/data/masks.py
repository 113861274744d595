"""Masks: pictures whose values are the classes of pixels."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from convatlas.data.images import read_stored
from convatlas.errors import FileError

IGNORED = 255  # a pixel of which nobody says what it is, as in the masks of PASCAL VOC
MOST_CLASSES = 100  # above that, values are taken for greys and not for classes
WHITE = 255


def read_values(path: Path, page: int = 0) -> np.ndarray:
    """Read a mask as it is stored: greys or indices of a palette, (H, W), uint8.

    A colour picture will do if it shows greys only; of 16 bits, white is 255.

    Raises:
        FileError: It can't be read, or shows colours without a palette.
    """
    image = read_stored(path, page)
    if image.mode in ("1", "L", "P", "LA", "PA"):
        values = np.asarray(image)
        return (values[:, :, 0] if values.ndim == 3 else values).astype(np.uint8)
    if image.mode.startswith(("I", "F")):
        return _eight_bits(path, image)
    channels = np.asarray(image.convert("RGB"))
    if (channels != channels[:, :, :1]).any():
        raise FileError(
            f"the mask {path} shows colours without a palette: save the number of its class in "
            "each pixel, in grey or with a palette"
        )
    return channels[:, :, 0]


def to_classes(values: np.ndarray, classes: Sequence[str], path: Path) -> np.ndarray:
    """Turn the values of a mask into classes: 0 and 255 of two classes are 0 and 1.

    Otherwise values are numbers of classes, and 255 is a pixel that counts nowhere.

    Args:
        values: (H, W), uint8.
        classes: Names.
        path: The mask, for messages.

    Returns:
        (H, W), uint8: classes and `IGNORED`.

    Raises:
        FileError: A value is no class.
    """
    found = present(values)
    if len(classes) == 2 and found <= {0, WHITE}:
        return (values == WHITE).astype(np.uint8)
    wrong = sorted(value for value in found - {IGNORED} if value >= len(classes))
    if wrong:
        allowed = f"0 to {len(classes) - 1} for {', '.join(classes)}"
        black_white = ", or 0 and 255 alone" if len(classes) == 2 else ""
        raise FileError(
            f"the mask {path} has the value {wrong[0]}; allowed are {allowed}{black_white}, and "
            f"{IGNORED} for pixels that don't count"
        )
    return values


def name_classes(found: Iterable[int], folder: Path) -> tuple[str, ...]:
    """Name the classes of masks that nobody has named, by the values that they hold.

    Raises:
        FileError: The values are those of greys, or of one class only.
    """
    values = set(found)
    if values <= {0, WHITE} or values - {IGNORED} <= {0, 1}:
        if len(values - ({IGNORED} if 1 in values else set())) < 2:
            raise FileError(
                f"the masks in {folder} show one class only: there is nothing to tell; if there "
                "are more, name all in a file classes.txt, one a line"
            )
        return ("background", "foreground")
    greatest = max(values - {IGNORED})
    if greatest >= MOST_CLASSES:
        raise FileError(
            f"the masks in {folder} have values up to {greatest}: neither 0 and 255 nor numbers "
            "of classes (were they saved as JPEG?); if they are classes, name all in a file "
            "classes.txt, one a line"
        )
    return ("background", *(f"class {number}" for number in range(1, greatest + 1)))


def present(values: np.ndarray) -> set[int]:
    """Give the values that occur."""
    return set(np.flatnonzero(np.bincount(values.ravel(), minlength=1)).tolist())


def _eight_bits(path: Path, image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    white = 1.0 if image.mode.startswith("F") else 65535
    if np.isin(values, (0, white)).all() and (values == white).any():
        return np.where(values == white, WHITE, 0).astype(np.uint8)
    whole = np.nan_to_num(values, nan=-1)
    if (whole != np.floor(whole)).any() or whole.min() < 0 or whole.max() > IGNORED:
        raise FileError(
            f"the mask {path} has values from {values.min():g} to {values.max():g}: classes are "
            f"whole numbers from 0 to {IGNORED}"
        )
    return whole.astype(np.uint8)
