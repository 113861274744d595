"""Pictures on their way into a packed data set: read, resized and encoded by several threads."""

import io
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from convatlas.data.augment import Interpolation, shorter_side_to
from convatlas.data.pack_format import PackOptions
from convatlas.data.preprocess import MODES
from convatlas.data.resize import resized
from convatlas.data.splits import Split, Stored, view_of
from convatlas.data.view import as_picture, as_pixels, mode_of, size_of
from convatlas.errors import FileError

_SUFFIX = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif"}


class Written(NamedTuple):
    """A picture as it is written.

    Attributes:
        content: The bytes of its file.
        suffix: Of the name of the file.
        shape: Of its pixels (H, W, C), which end the content; zeros: it has to be decoded.
    """

    content: bytes
    suffix: str
    shape: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Preparing:
    """Reads a picture and brings it to the form in which it is stored; runs in the threads.

    Attributes:
        split: The pictures.
        channels: Of the source: what is resized gets so many first.
        interpolation: Of the resizing.
        options: How pictures are stored.
    """

    split: Split
    channels: int
    interpolation: Interpolation
    options: PackOptions

    def __call__(self, i: int) -> Written | str:
        """Give picture `i`, or what is wrong with it."""
        try:
            if self.options.form == "files":
                return self._file(i)
            pixels = self._pixels(i)
        except FileError as error:
            return str(error)
        if self.options.form == "jpeg":
            return _encoded(as_picture(pixels), "JPEG", quality=self.options.quality)
        height, width, channels = pixels.shape
        header = f"P{5 if channels == 1 else 6}\n{width} {height}\n255\n".encode()
        suffix = ".pgm" if channels == 1 else ".ppm"
        return Written(header + pixels.tobytes(), suffix, (height, width, channels))

    def _file(self, i: int) -> Written:
        picture = self.split.image(i)  # what can't be read is left out
        if isinstance(self.split, Stored):
            content = self.split.content(i)
            with Image.open(io.BytesIO(content)) as opened:
                suffix = _SUFFIX.get(opened.format or "")
            if suffix is not None:
                return Written(content, suffix, (0, 0, 0))
        return _encoded(picture, "PNG")

    def _pixels(self, i: int) -> np.ndarray:
        view, shorter = view_of(self.split, i), self.options.shorter
        if shorter is None:
            return as_pixels(view)
        mode = MODES[self.channels]  # first, as the preprocessing does: the values are the same
        if mode_of(view) != mode:
            view = as_picture(view).convert(mode)
        return resized(view, shorter_side_to(size_of(view), shorter), self.interpolation)


def _encoded(picture: Image.Image, form: str, **how: Any) -> Written:
    buffer = io.BytesIO()
    picture.save(buffer, form, **how)
    return Written(buffer.getvalue(), _SUFFIX[form], (0, 0, 0))


@dataclass(frozen=True, slots=True)
class Ahead:
    """Prepares pictures in threads, some ahead of those that are asked for.

    Attributes:
        prepare: Prepares one.
        pool: The threads.
        most: Pictures that wait at most.
    """

    prepare: Preparing
    pool: Executor
    most: int

    def since(self, first: int) -> Iterator[Written | str]:
        """Give the pictures from number `first` on, in order."""
        waiting: deque[Future[Written | str]] = deque()
        try:
            for i in range(first, len(self.prepare.split)):
                waiting.append(self.pool.submit(self.prepare, i))
                if len(waiting) > self.most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
