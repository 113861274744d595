"""JPEG files decoded straight into arrays, by the library `simplejpeg` where it is installed.

It takes three quarters of Pillow's time and spares a copy. Both are libjpeg-turbo with the same
settings, so the pixels are the same, bit by bit. What is odd (CMYK, damaged files, other libraries
behind Pillow) is left to Pillow, whose pixels, errors and warnings therefore stay what they are.
"""

import functools
import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image, features

MOST_BYTES = 2**28  # of a file that is read as a whole; Pillow reads it piece by piece

_BEGINS = b"\xff\xd8\xff"
_COLOURS = {"L": ("Gray", "GRAY"), "RGB": ("YCbCr", "RGB")}  # stored; asked for


@functools.cache
def library() -> Any:
    """Give `simplejpeg`; None: it is not installed, or Pillow decodes by another library."""
    if not features.check_feature("libjpeg_turbo"):
        return None
    try:
        return importlib.import_module("simplejpeg")
    except ImportError:
        return None


def decoders() -> dict[str, str | None]:
    """Give the versions of the libraries that decode pictures; None: it is not used."""
    found = library()
    return {"pillow": PIL.__version__, "simplejpeg": found and found.__version__}


def read_jpeg(path: Path) -> bytes | None:
    """Read a file that begins as JPEG does; None: it does not, is huge, or there is no use in it.

    Raises:
        OSError: It can't be read.
    """
    if library() is None:
        return None
    with path.open("rb", buffering=0) as file:
        if file.read(len(_BEGINS)) != _BEGINS or os.fstat(file.fileno()).st_size > MOST_BYTES:
            return None
        file.seek(0)
        return file.readall()


def decode(content: bytes, image: Image.Image) -> np.ndarray | None:
    """Decode a file that Pillow has opened and that lies in memory.

    Args:
        content: The bytes of the file.
        image: What Pillow says of it: its format is JPEG; it is not loaded yet.

    Returns:
        Pixels (H, W, C), uint8; None: Pillow should decode it.
    """
    found = library()
    if found is None or image.mode not in _COLOURS:
        return None
    stored, wanted = _COLOURS[image.mode]
    try:
        height, width, colours, _ = found.decode_jpeg_header(content)
        if (width, height) != image.size or colours != stored:
            return None
        return found.decode_jpeg(content, wanted)  # strict: also what libjpeg only warns of
    except (ValueError, RuntimeError):
        return None
