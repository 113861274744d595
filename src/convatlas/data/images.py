"""Picture files, read as people see them: "L" or "RGB", upright, eight bits."""

import io
import re
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from PIL import ExifTags, Image, UnidentifiedImageError

from convatlas.data.jpeg import decode, read_jpeg
from convatlas.data.modes import plain
from convatlas.data.view import View
from convatlas.errors import FileError

Result = TypeVar("Result")

# what `warnings.filterwarnings("ignore", module=...)` keeps in its list
_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)

MAX_PIXELS = 178_956_970  # half a gigabyte in RGB; Pillow refuses files beyond this size too

_TURNS = {  # EXIF 2.3, tag 0x0112: what turns a stored picture upright; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: str | Path, page: int = 0) -> Image.Image:
    """Read a picture of a file as people see it: mode "L" or "RGB", turned upright.

    Any format that Pillow reads, but EPS, for which it would start another program. Colours and
    transparency are made plain by `plain`; a broken EXIF block counts as none.

    Args:
        path: The file.
        page: Which of its pictures, from 0, where it holds several, as TIFF stacks do.

    Raises:
        FileError: Missing, no picture, cut off, broken, or of more than `MAX_PIXELS` pixels.
    """
    return _read(path, page, plain)


def read_image_bytes(content: bytes, name: str) -> Image.Image:
    """Read the first picture of a file that lies in memory; see `read_image`.

    Args:
        content: The bytes of the file.
        name: What errors call it.

    Raises:
        FileError: No picture, cut off, broken, or of more than `MAX_PIXELS` pixels.
    """
    return _used(io.BytesIO(content), name, lambda image: plain(_decoded(name, image, 0)))


def read_view(path: str | Path) -> View:
    """Read a picture as `read_image` does; pixels in an array where that is quicker.

    Both show the same values.

    Raises:
        FileError: As of `read_image`.
    """
    path = Path(path)
    _check_is_file(path)
    try:
        content = read_jpeg(path)
    except OSError:
        content = None  # Pillow says why
    return read_image(path) if content is None else read_view_bytes(content, str(path))


def read_view_bytes(content: bytes, name: str) -> View:
    """Read the first picture of a file that lies in memory; see `read_view`.

    Args:
        content: The bytes of the file.
        name: What errors call it.

    Raises:
        FileError: As of `read_image_bytes`.
    """

    def view(image: Image.Image) -> View:
        pixels = None
        if image.format == "JPEG" and _orientation(image) not in _TURNS:
            pixels = decode(content, image)
        return plain(_decoded(name, image, 0)) if pixels is None else pixels

    return _used(io.BytesIO(content), name, view)


def read_stored(path: str | Path, page: int = 0) -> Image.Image:
    """Read a picture upright, but with the values that are stored: those of a mask are classes.

    Args:
        path: The file.
        page: Which of its pictures, from 0.

    Raises:
        FileError: As of `read_image`.
    """
    return _read(path, page, lambda image: image)


def count_pages(path: str | Path) -> int:
    """Count the pictures of a file; only a TIFF is a stack, and an animation has one picture.

    Raises:
        FileError: Missing, or no picture.
    """

    def pages(image: Image.Image) -> int:
        return getattr(image, "n_frames", 1) if image.format == "TIFF" else 1

    return _opened(path, pages)


def picture_size(path: str | Path) -> tuple[int, int]:
    """Give height and width of the first picture of a file, turned upright; pixels stay unread.

    Raises:
        FileError: Missing, or no picture.
    """

    def size(image: Image.Image) -> tuple[int, int]:
        lying = _orientation(image) in (5, 6, 7, 8)  # turned by a quarter
        return (image.width, image.height) if lying else (image.height, image.width)

    return _opened(path, size)


def _read(
    path: str | Path, page: int, finished: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    return _opened(path, lambda image: finished(_decoded(str(path), image, page)))


def _opened(path: str | Path, use: Callable[[Image.Image], Result]) -> Result:
    path = Path(path)
    _check_is_file(path)
    return _used(path, str(path), use)


def _used(file: Path | io.BytesIO, name: str, use: Callable[[Image.Image], Result]) -> Result:
    """Open a file as Pillow does and give what `use` makes of it; one clear error for all."""
    _silence_pillow()
    try:
        with Image.open(file) as image:
            return use(image)
    except FileError:
        raise
    except UnidentifiedImageError as error:
        raise FileError(f"{name} is no picture in a format that can be read") from error
    except Image.DecompressionBombError as error:
        raise FileError(f"{name} has more than {MAX_PIXELS} pixels") from error
    except Exception as error:  # Pillow's readers raise errors of any type on broken files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileError(f"{name} can't be read as a picture: {reason}") from error


def _silence_pillow() -> None:
    """Let Pillow not warn of odd metadata: the picture counts.

    The filter stays, for the whole process: one that comes and goes, as with
    `warnings.catch_warnings`, would fail as soon as two threads read.
    """
    if _QUIET not in warnings.filters:
        warnings.filterwarnings("ignore", module=_QUIET[3].pattern)


def _check_is_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise FileError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise FileError(
            f"can't read {path}: {getattr(error, 'strerror', None) or error}"
        ) from error
    if stat.S_ISDIR(mode):
        raise FileError(f"{path} is a folder, not a picture")
    if not stat.S_ISREG(mode):  # reading a pipe or a device may never end
        raise FileError(f"{path} is not a regular file")


def _decoded(name: str, image: Image.Image, page: int) -> Image.Image:
    if image.format == "EPS":
        raise FileError(f"{name} is PostScript; convert it to PNG or JPEG first")
    if page:
        image.seek(page)
    if image.width * image.height > MAX_PIXELS:
        raise FileError(f"{name} has {image.width}x{image.height} pixels, above {MAX_PIXELS}")
    image.load()
    return _upright(image)


def _upright(image: Image.Image) -> Image.Image:
    # ImageOps.exif_transpose would also write the EXIF block anew, and fail on a broken one
    turn = _TURNS.get(_orientation(image))
    # loaded already: it outlives its file, and a copy would take the memory twice
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a broken EXIF block, of which Pillow complains with errors of any type
        return None
