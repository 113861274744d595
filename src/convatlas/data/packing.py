"""Write a data set once as shards that are read often: see `convatlas.data.pack_format`."""

import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convatlas.data.card import Source
from convatlas.data.pack_format import (
    RECORD,
    SPLITS,
    KeptIndex,
    PackOptions,
    ShardIndex,
    read_index,
    shard_path,
    write_index,
    write_manifest,
)
from convatlas.data.pack_pictures import Ahead, Preparing, Written
from convatlas.data.pack_place import make_ready, manifest_of
from convatlas.data.splits import Split
from convatlas.data.tolerance import MAX_BAD, Tell, keep_silent
from convatlas.errors import InputError
from convatlas.files import whole_file

AHEAD = 32  # pictures that each thread may be ahead of the one that writes

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written.

    Attributes:
        folder: Where.
        source: What was packed.
        images: Of each split.
        left_out: Name of each picture of a split that can't be read, and why.
        shards: Tar files of each split.
        bytes: Of all tar files together.
    """

    folder: Path
    source: str
    images: dict[str, int]
    left_out: dict[str, dict[str, str]]
    shards: dict[str, int]
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON takes them."""
        return asdict(self) | {"folder": str(self.folder)}


def pack(
    source: Source,
    text: str,
    folder: Path,
    options: PackOptions | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    max_bad: float = MAX_BAD,
    threads: int = 1,
    tell: Tell = keep_silent,
    progress: Progress | None = None,
) -> Packed:
    """Write the pictures of a source, in their order and with their splits, as packed shards.

    Equal pictures and options give equal bytes, also where the work was taken up again. Pictures
    that can't be read are left out, and counted.

    Args:
        source: Three splits.
        text: What `open_source` was given for it.
        folder: Made if missing; a folder of its own.
        options: How pictures are stored; None: the files as they are.
        resume: Go on with what the folder holds; shards that are whole stay as they are.
        overwrite: Start again where the folder holds a pack.
        max_bad: Greatest fraction of bad pictures, of each split by itself.
        threads: That read at the same time.
        tell: Called for each bad picture with its name and what is wrong with it.
        progress: Called with the pictures done and those in all. What it raises ends the work,
            and `resume` takes it up.

    Raises:
        InputError: The folder holds something else; more pictures are bad than the limit allows.
        FileError: Something can't be written.
    """
    options = options or PackOptions()
    manifest = manifest_of(source, text, options)
    make_ready(folder, manifest, resume=resume, overwrite=overwrite)
    total, before = sum(len(getattr(source, name)) for name in SPLITS), 0
    found: dict[str, list[KeptIndex]] = {}
    with ThreadPoolExecutor(threads) as pool:
        for name in SPLITS:
            split = getattr(source, name)

            def count(done: int, before: int = before) -> None:
                if progress is not None:
                    progress(before + done, total)

            prepare = Preparing(split, source.card.channels, source.card.interpolation, options)
            ahead = Ahead(prepare, pool, AHEAD * threads)
            shards = _Shards(split, name, folder, options.shard_bytes, max_bad, tell, count)
            found[name] = list(shards.written(ahead))
            before += len(split)
    images = {name: sum(len(i.records) for i in indexes) for name, indexes in found.items()}
    splits = {
        name: {"images": images[name], "shards": len(indexes)} for name, indexes in found.items()
    }
    write_manifest(folder, manifest | {"splits": splits, "complete": True})
    return Packed(
        folder,
        text,
        images,
        {name: dict(bad for i in indexes for bad in i.left_out) for name, indexes in found.items()},
        {name: len(indexes) for name, indexes in found.items()},
        sum(index.bytes for indexes in found.values() for index in indexes),
    )


@dataclass(slots=True)
class _Shards:
    """Writes the shards of a split."""

    split: Split
    name: str
    folder: Path
    shard_bytes: int
    max_bad: float
    tell: Tell
    count: Callable[[int], None]
    bad: int = 0

    def written(self, ahead: Ahead) -> Iterator[KeptIndex]:
        """Write the shards that are not there yet, and give the indexes of all."""
        first, number = 0, 0
        while first < len(self.split):
            path = shard_path(self.folder, self.name, number)
            index = _kept(path, first)
            if index is None:
                index = self._write(path, first, ahead)
            else:
                for bad in index.left_out:
                    self._leave_out(*bad)
            self.count(index.after)
            yield index
            first, number = index.after, number + 1

    def _write(self, path: Path, first: int, ahead: Ahead) -> KeptIndex:
        records: list[tuple[int, ...]] = []
        names: list[str] = []
        left_out: list[tuple[str, str]] = []
        stream, i = ahead.since(first), first - 1
        with (
            whole_file(path) as aside,
            tarfile.open(aside, "w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for i, found in enumerate(stream, start=first):
                if isinstance(found, str):
                    left_out.append((self.split.name(i), found))
                    self._leave_out(*left_out[-1])
                else:
                    records.append(_added(tar, f"{i:08}", found, self.split.label(i)))
                    names.append(self.split.name(i))
                self.count(i)
                if tar.offset >= self.shard_bytes:
                    break
        size = path.stat().st_size
        index = ShardIndex(np.array(records, RECORD), names, first, i + 1, size, left_out)
        write_index(path, index)
        return KeptIndex(index.records, index.first, index.after, index.bytes, left_out)

    def _leave_out(self, name: str, reason: str) -> None:
        self.bad += 1
        self.tell(name, reason)
        if self.bad > int(self.max_bad * len(self.split) + 1e-9):
            raise InputError(
                f"more images of the {self.name} split are bad than the limit of "
                f"{self.max_bad:.3g} of {len(self.split)} allows: {name} ({reason}); see "
                "`convatlas data check`, or raise the limit with --max-bad"
            )


def _kept(path: Path, first: int) -> KeptIndex | None:
    """Read the index of a shard that is whole and begins with this picture."""
    try:
        index = read_index(path)
        return index if index.first == first and path.stat().st_size == index.bytes else None
    except OSError:
        return None


def _added(tar: tarfile.TarFile, stem: str, picture: Written, label: int) -> tuple[int, ...]:
    """Add a picture and its class to a shard, and give its record."""
    for suffix, content in ((".cls", str(label).encode()), (picture.suffix, picture.content)):
        member = tarfile.TarInfo(stem + suffix)  # of no time and no owner: equal bytes each time
        member.size = len(content)
        offset = tar.offset + tarfile.BLOCKSIZE  # behind its header
        tar.addfile(member, io.BytesIO(content))
    content = picture.content
    return offset, len(content), zlib.crc32(content), label, *picture.shape
