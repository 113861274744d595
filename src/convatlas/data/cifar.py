"""CIFAR-10 and CIFAR-100, read from their official files: the binary and the Python version.

https://www.cs.toronto.edu/~kriz/cifar.html. In the binary version a record is one label byte (two
in CIFAR-100: of the coarse and of the fine class), then 1,024 bytes each of red, green and blue.
"""

import hashlib
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from convatlas.data.card import Source
from convatlas.data.cifar_sources import CIFAR10, CIFAR100, CifarSource, CifarVersion
from convatlas.data.download import Progress, download
from convatlas.data.idx import unzipped
from convatlas.data.pickles import read_arrays
from convatlas.data.splits import ArraySplit, stratified_order
from convatlas.errors import FileError
from convatlas.files import cache_folder

__all__ = ["CIFAR10", "CIFAR100", "open_cifar"]

SPLIT_SEED = 2009  # the year of publication; never changed, never chosen by a result
VAL = 5000  # images of the training set kept for validation
HELD_OUT = 0.1  # of an incomplete set, for validation and as much again for testing
SHAPE = (3, 32, 32)
MOST_BYTES = 2**28  # of a file; the largest official one has 154 million

_MIRROR = "https://www.cs.toronto.edu/~kriz/"


class _Images(NamedTuple):
    pixels: np.ndarray  # (N, 32, 32, 3), uint8
    labels: np.ndarray  # (N,)


def open_cifar(
    source: CifarSource, root: Path | None = None, progress: Progress | None = None
) -> Source:
    """Open CIFAR-10 or CIFAR-100.

    The last 5,000 images of a fixed stratified order of the training set are for validation; the
    official test set is the test split. Where a folder holds training files and no test file,
    their images are dealt out 80 : 10 : 10, and the title says how many they are.

    Args:
        source: `CIFAR10`, `CIFAR100`, or another of their form.
        root: Folder with the files of either version, unpacked or in their archive; None: the
            cache, into which the binary version is downloaded.
        progress: Told of downloads.

    Raises:
        FileError: A file is missing and can't be downloaded, or isn't the official one.
    """
    folder = cache_folder(source.card.name) if root is None else root
    found = _complete(source, folder)
    if found is None and root is None:
        name = source.binary.archive
        download([_MIRROR + name], folder / name, source.sha256, progress)
        found = _complete(source, folder)
    if found is None:
        found = _incomplete(source, folder)
    if found is None:
        raise FileError(
            f"{source.card.title} needs {source.binary.archive} or {source.python.archive} in "
            f"{folder}, packed or unpacked: there is neither"
        )
    return found


def _complete(source: CifarSource, folder: Path) -> Source | None:
    for version in (source.binary, source.python):
        contents = _contents(source, version, folder)
        if contents is not None:
            train, test = (
                _joined(_checked(source, version, name, contents) for name in names)
                for names in (source.train, source.test)
            )
            cut = len(train.labels) - min(VAL, len(train.labels) // 10)
            return Source(
                source.card,
                *_dealt(train, [cut], "training image"),
                ArraySplit(*test, np.arange(len(test.labels)), "test image"),
            )
    return None


def _incomplete(source: CifarSource, folder: Path) -> Source | None:
    """Open training files of which nothing is known but their format."""
    beginnings = tuple(name.rstrip("_12345") for name in source.train)
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [f for f in files if f.name.startswith(beginnings) and ".bin" in f.suffixes]
    if not files:
        return None
    images = _joined(_records(source, unzipped(file, MOST_BYTES), file) for file in files)
    count = len(images.labels)
    part = round(HELD_OUT * count)
    if not part:
        raise FileError(f"{folder} holds {count} images: too few to be dealt out")
    card = replace(source.card, title=f"{source.card.title}, {count:,} of its training images")
    return Source(card, *_dealt(images, [count - 2 * part, count - part], "training image"))


def _dealt(images: _Images, cuts: Sequence[int], noun: str) -> list[ArraySplit]:
    order = stratified_order(images.labels, SPLIT_SEED)
    return [ArraySplit(*images, indices, noun) for indices in np.split(order, cuts)]


def _contents(source: CifarSource, version: CifarVersion, root: Path) -> dict[str, bytes] | None:
    """Read all files of a version, where people keep them; None: it isn't there."""
    names = [name + version.ending for name in (*source.train, *source.test)]
    for place in (".", source.card.name):
        for folder in (root / place, root / place / version.folder):
            if (folder / names[-1]).is_file():
                return {name: unzipped(folder / name, MOST_BYTES) for name in names}
        archive = root / place / version.archive
        if archive.is_file():
            return _unpacked(archive, names)
    return None


def _unpacked(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    found = {}
    try:
        with tarfile.open(archive) as members:
            for member in members:
                name = member.name.rpartition("/")[2]
                if name in names and (file := members.extractfile(member)) is not None:
                    found[name] = file.read(MOST_BYTES)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise FileError(f"{archive} can't be unpacked: {error}") from error
    for name in names:
        if name not in found:
            raise FileError(f"{archive} has no {name}")
    return found


def _checked(
    source: CifarSource, version: CifarVersion, name: str, contents: dict[str, bytes]
) -> _Images:
    file = source.train[name] if name in source.train else source.test[name]
    content, name = contents[name + version.ending], name + version.ending
    if version == source.binary:
        digest, expected = hashlib.sha256(content), file.sha256
    else:
        digest, expected = hashlib.md5(content, usedforsecurity=False), file.md5
    if digest.hexdigest() != expected:
        raise FileError(
            f"{name} isn't the official file of {source.card.title}: its {digest.name} is "
            f"{digest.hexdigest()}, not {expected}"
        )
    if version == source.binary:
        return _records(source, content, name)
    return _arrays(source, content, name)


def _records(source: CifarSource, content: bytes, name: str | Path) -> _Images:
    """Take a binary file apart."""
    size = source.label_bytes + int(np.prod(SHAPE))
    if not content or len(content) % size:
        raise FileError(f"{name} has {len(content)} bytes: no whole records of {size}")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    pixels, labels = records[:, source.label_bytes :], records[:, source.label_bytes - 1]
    return _images(source, pixels, labels, name)


def _arrays(source: CifarSource, content: bytes, name: str) -> _Images:
    """Take a Python file apart."""
    fields = read_arrays(content, name)
    pixels, labels = fields.get(b"data"), fields.get(source.label_key)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise FileError(f"{name} has no array of pixels")
    if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
        raise FileError(f"{name} has no list of {source.label_key.decode()}")
    return _images(source, pixels, np.array(labels), name)


def _images(
    source: CifarSource, pixels: np.ndarray, labels: np.ndarray, name: str | Path
) -> _Images:
    if pixels.shape != (len(labels), np.prod(SHAPE)):
        raise FileError(f"{name} has {len(labels)} labels and pixels of shape {pixels.shape}")
    if labels.min() < 0 or labels.max() >= len(source.card.classes):
        raise FileError(f"{name} has labels outside 0 to {len(source.card.classes) - 1}")
    return _Images(pixels.reshape(-1, *SHAPE).transpose(0, 2, 3, 1), labels.astype(np.int64))


def _joined(parts: Iterable[_Images]) -> _Images:
    pixels, labels = zip(*parts, strict=True)
    return _Images(np.ascontiguousarray(np.concatenate(pixels)), np.concatenate(labels))
