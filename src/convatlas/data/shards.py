"""Tar files in the layout of WebDataset, with an index of where each picture lies.

https://github.com/webdataset/webdataset: the files of one sample stand side by side and are called
alike up to the first dot: `0001.jpg`, `0001.cls`.
"""

import contextlib
import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from convatlas.data.folder import EXTENSIONS
from convatlas.errors import FileError
from convatlas.files import cache_folder, write_text

LABEL = ".cls"
MOST_LABEL_BYTES = 1000

_FORMAT = 1  # of the index


class Sample(NamedTuple):
    """One picture of a shard.

    Attributes:
        name: Of its file in the tar.
        label: What its `.cls` says: a number or a name.
        offset: Where its bytes begin in the tar.
        size: How many they are.
    """

    name: str
    label: str
    offset: int
    size: int


def read_shard(path: Path) -> list[Sample]:
    """List the pictures of a tar, from the index that an earlier call has left, if it still fits.

    The index lies in the cache and is made anew where size or time of the tar differ.

    Raises:
        FileError: It can't be read, is cut off or compressed, or a picture has no label.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror or error}") from error
    key = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]
    index = cache_folder("shards") / f"{key}.json"
    stamp = [_FORMAT, state.st_size, state.st_mtime_ns]
    samples = _kept(index, stamp)
    if samples is None:
        samples = _scanned(path)
        with contextlib.suppress(FileError):  # without a place to keep it, it is made each time
            write_text(index, json.dumps([stamp, str(path), samples]))
    return samples


def read_bytes(path: Path, sample: Sample) -> bytes:
    """Give the bytes of a picture.

    Raises:
        FileError: They can't be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(sample.offset)
            content = file.read(sample.size)
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror or error}") from error
    if len(content) < sample.size:
        raise FileError(f"{path} ends in the midst of {sample.name}")
    return content


def _kept(index: Path, stamp: list[int]) -> list[Sample] | None:
    try:
        found, _, samples = json.loads(index.read_text(encoding="utf-8"))
        return [Sample(*sample) for sample in samples] if found == stamp else None
    except (OSError, ValueError, TypeError):
        return None  # none yet, or not whole


def _scanned(path: Path) -> list[Sample]:
    pictures: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, str] = {}
    for member, content in _members(path):
        folder, _, file = member.name.rpartition("/")
        stem, dot, ending = file.partition(".")
        key, ending = f"{folder}/{stem}", (dot + ending).lower()
        if content is not None:
            labels[key] = content
        elif ending in EXTENSIONS:
            if key in pictures:
                raise FileError(f"{path} has two pictures of one name, {member.name}")
            pictures[key] = member.name, member.offset_data, member.size
    missing = [name for key, (name, _, _) in pictures.items() if key not in labels]
    if missing:
        raise FileError(f"{path} has no {LABEL} beside {missing[0]}")
    return [Sample(name, labels[key], *where) for key, (name, *where) in pictures.items()]


def _members(path: Path) -> Iterator[tuple[tarfile.TarInfo, str | None]]:
    """Give the files of a tar, and the text of those that are labels."""
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                text = None
                if member.name.lower().endswith(LABEL) and member.size <= MOST_LABEL_BYTES:
                    file = archive.extractfile(member)
                    text = "" if file is None else file.read().decode().strip()
                    if not text:
                        raise FileError(f"{path} has an empty {member.name}")
                yield member, text
            end = archive.offset
        _check_end(path, end)
    except UnicodeDecodeError as error:
        raise FileError(f"{path} has a {LABEL} that is not in UTF-8") from error
    except tarfile.ReadError as error:
        raise FileError(f"{path} is no whole tar file, or a compressed one: {error}") from error
    except FileError:
        raise
    except (OSError, tarfile.TarError) as error:
        raise FileError(f"can't read {path}: {error}") from error


def _check_end(path: Path, end: int) -> None:
    """Refuse a tar that was cut off between two files: a whole one ends with blocks of zeros."""
    with path.open("rb") as file:
        file.seek(end)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise FileError(f"{path} is no whole tar file: it is cut off after {end} bytes")
