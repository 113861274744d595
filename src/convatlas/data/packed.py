"""A packed data set: read through the system's memory, without a search and, as pixels, decoding.

`convatlas.data.packing` writes it.
"""

import hashlib
import zlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from convatlas.data.augment import Augmentation, PadCrop, Resize, ScaleJitter
from convatlas.data.card import DataCard, Source
from convatlas.data.images import read_image_bytes, read_view_bytes
from convatlas.data.mapped import MappedFiles, check_length
from convatlas.data.pack_format import (
    MANIFEST,
    RECORD,
    SPLITS,
    KeptIndex,
    card_from_dict,
    read_index,
    read_manifest,
    read_names,
    shard_path,
)
from convatlas.data.preprocess import Preprocessing
from convatlas.data.view import View, as_picture
from convatlas.errors import FileError

KIND = "packed"


class PackedSplit:
    """Pictures in the shards of a packed data set.

    The checksum of a picture is compared when it is first read, once for all processes that read
    ahead for this one.

    Attributes:
        shards: The tar files.
        records: Where each picture lies, and what it is; see `convatlas.data.pack_format.RECORD`.
    """

    def __init__(self, shards: Sequence[Path], indexes: Sequence[KeptIndex]) -> None:
        self.shards = shards
        parts = [index.records for index in indexes]
        self.records = np.concatenate([np.empty(0, RECORD), *parts])
        self._starts: list[int] = np.cumsum([0, *map(len, parts)]).tolist()
        self._files = MappedFiles(shards, [index.bytes for index in indexes])
        self._checked = torch.zeros(len(self.records), dtype=torch.uint8).share_memory_()
        self._names: dict[int, list[str]] = {}

    def __len__(self) -> int:
        return len(self.records)

    @cached_property
    def labels(self) -> list[int]:
        """Every label, in order."""
        return self.records["label"].tolist()

    def label(self, i: int) -> int:
        """Give the class of picture `i`."""
        return int(self.records["label"][i])

    def name(self, i: int) -> str:
        """Give what picture `i` was called in the source that was packed."""
        shard = self._shard(i)
        if shard not in self._names:
            self._names[shard] = read_names(self.shards[shard])
        return self._names[shard][i - self._starts[shard]]

    def content(self, i: int) -> bytes:
        """Give the bytes of picture `i` as a file.

        Raises:
            FileError: They can't be read, or are not those that were written.
        """
        return bytes(self._piece(i))

    def image(self, i: int) -> Image.Image:
        """Read picture `i`.

        Raises:
            FileError: It can't be read, or is damaged.
        """
        if self.records["channels"][i]:
            return as_picture(self._pixels(i))
        return read_image_bytes(self.content(i), self._place(i))

    def view(self, i: int) -> View:
        """Give picture `i`: where pixels are stored, those, which can't be written to.

        Raises:
            FileError: As of `image`.
        """
        if self.records["channels"][i]:
            return self._pixels(i)
        return read_view_bytes(self.content(i), self._place(i))

    def fingerprint(self) -> str:
        """Give 16 hexadecimal digits that change with the pictures, not with how they lie."""
        digest = hashlib.sha256()
        for field in ("checksum", "size", "label"):
            digest.update(np.ascontiguousarray(self.records[field]).tobytes())
        return digest.hexdigest()[:16]

    def _pixels(self, i: int) -> np.ndarray:
        _, _, _, _, height, width, channels = self.records[i].item()
        size = height * width * channels
        return np.frombuffer(self._piece(i)[-size:], np.uint8).reshape(height, width, channels)

    def _piece(self, i: int) -> memoryview:
        offset, size, checksum, *_ = self.records[i].item()
        shard = self._shard(i)
        found = self._files.piece(shard, offset, size)
        if not self._checked.numpy()[i]:
            if zlib.crc32(found) != checksum:
                raise FileError(f"{self._place(i)} is damaged: its checksum is not what it was")
            self._checked[i] = 1
        return found

    def _shard(self, i: int) -> int:
        return bisect_right(self._starts, i) - 1

    def _place(self, i: int) -> str:
        return f"{self.shards[self._shard(i)]}/{self.name(i)}"


def open_packed(folder: Path, seed: int = 0) -> Source:  # noqa: ARG001
    """Open a packed data set.

    Args:
        folder: That `pack` has written.
        seed: Of no use: the splits are those that were packed.

    Raises:
        FileError: It is not finished, or a shard or an index is missing, cut or damaged.
    """
    manifest = read_manifest(folder)
    if not manifest["complete"]:
        raise FileError(
            f"{folder} is not packed to the end: go on with `convatlas data pack ... --resume`"
        )
    try:
        card = _card(folder, manifest)
        splits = {name: _split(folder, name, **manifest["splits"][name]) for name in SPLITS}
    except (KeyError, TypeError) as error:
        raise FileError(f"{folder / MANIFEST} is damaged: {error}") from error
    return Source(card, **splits)


def origin_of(text: str, root: Path | None = None) -> str:
    """Give the source that was packed: for `packed:DIR`, such as "cifar10"; else `text` itself.

    Raises:
        FileError: `packed:DIR` is no packed data set.
    """
    kind, _, path = text.partition(":")
    if kind != KIND or not path:
        return text
    return str(read_manifest((root or Path()) / Path(path).expanduser()).get("source", text))


def packing_told(
    card: DataCard, preprocessing: Preprocessing, augment: Sequence[Augmentation] = ()
) -> tuple[str, ...]:
    """Say what differs from the source because of how its pictures were packed.

    Nothing where the way of a picture begins with that very resizing: then the pixels are equal.

    Args:
        card: Of the source.
        preprocessing: Of the network, for images to test with.
        augment: Changes of training images; empty: there is no training.
    """
    told = []
    if card.recompressed_at is not None:
        told.append(
            f"Images were compressed anew when they were packed, as JPEG of quality "
            f"{card.recompressed_at}: their values differ a little from the originals'."
        )
    side = card.resized_to
    if side is None:
        return tuple(told)
    same_modes = card.channels == len(preprocessing.mean)
    tests = (
        same_modes
        and preprocessing.resize_shorter == side
        and preprocessing.interpolation == card.interpolation
        and not preprocessing.border
    )
    if augment and not (same_modes and _begins_with(augment[0], card, tests)):
        told.append(
            f"Training images were brought to a shorter side of {side} pixels when they were "
            f"packed: {type(augment[0]).__name__} sees those, not the originals."
        )
    if not tests:
        told.append(
            f"Test images are made of those of a shorter side of {side} pixels that were packed, "
            "not of the originals."
        )
    return tuple(told)


def _begins_with(first: Augmentation, card: DataCard, tests: bool) -> bool:
    if isinstance(first, ScaleJitter):
        return first.low == first.high == card.resized_to and card.interpolation == "bilinear"
    return tests and (first == Resize() or isinstance(first, PadCrop))


def _card(folder: Path, manifest: Mapping[str, Any]) -> DataCard:
    options = manifest["options"]
    return card_from_dict(
        manifest["card"],
        name=f"{KIND}:{folder}",
        resized_to=options["shorter"],
        recompressed_at=options["quality"] if options["form"] == "jpeg" else None,
    )


def _split(folder: Path, name: str, shards: int, images: int, **_: Any) -> PackedSplit:
    paths = [shard_path(folder, name, number) for number in range(shards)]
    indexes = []
    for path in paths:
        index = read_index(path)
        try:
            check_length(path, path.stat().st_size, index.bytes)
        except FileNotFoundError as error:
            raise FileError(f"there is no file {path}: copy it again or pack anew") from error
        indexes.append(index)
    found = sum(len(index.records) for index in indexes)
    if found != images:
        raise FileError(f"{folder} holds {found:,} {name} images instead of {images:,}: pack anew")
    return PackedSplit(paths, indexes)
