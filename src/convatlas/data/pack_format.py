"""What a packed data set is made of: tar shards, an index beside each, and one manifest.

    pack.json           what was packed, how, and how many pictures each split has
    classes.txt         their classes, a line each
    train-000000.tar    pictures in WebDataset's layout: 00000000.jpg beside 00000000.cls
    train-000000.npz    where each lies in the shard, its class, its checksum and its first name

The manifest is written first and says at the end that all is there; a shard counts once its index
lies beside it.
"""

import contextlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from convatlas.data.card import DataCard
from convatlas.errors import FileError, InputError, unknown
from convatlas.files import whole_file, write_text

MANIFEST = "pack.json"
CLASSES = "classes.txt"
SPLITS = ("train", "val", "test")
MOST_SHORTER = 10_000

Form = Literal["files", "pixels", "jpeg"]

_FORMAT = 1

# of one picture; what is stored is a file as it came, or pixels behind a short header (channels
# above 0), which end where the picture ends
RECORD = np.dtype(
    [
        ("offset", "<u8"),
        ("size", "<u8"),
        ("checksum", "<u4"),  # CRC-32
        ("label", "<u4"),
        ("height", "<u4"),
        ("width", "<u4"),
        ("channels", "u1"),
    ]
)


@dataclass(frozen=True, slots=True)
class PackOptions:
    """How pictures are stored.

    Attributes:
        form: "files": as they are; "pixels": decoded, so that reading one is a copy; "jpeg":
            compressed anew, for sizes that pixels have no room for.
        shorter: Pixels of their shorter side; None: in their own size, as files always are.
        quality: Of "jpeg", from 1 to 100.
        shard_bytes: A shard ends after the picture with which it has so many.
    """

    form: Form = "files"
    shorter: int | None = None
    quality: int = 95
    shard_bytes: int = 10**9

    def __post_init__(self) -> None:
        """Refuse what can't be done.

        Raises:
            InputError: A value out of range, or a size for files that stay as they are.
        """
        if self.form not in get_args(Form):
            raise unknown("form", self.form, get_args(Form))
        if self.form == "files" and self.shorter is not None:
            raise InputError("files stay as they are: to resize pictures, take pixels or jpeg")
        if self.shorter is not None and not 1 <= self.shorter <= MOST_SHORTER:
            raise InputError(
                f"the shorter side has 1 to {MOST_SHORTER:,} pixels, not {self.shorter}"
            )
        if not 1 <= self.quality <= 100:
            raise InputError(f"the quality of JPEG goes from 1 to 100, not {self.quality}")
        if self.shard_bytes < 1:
            raise InputError(f"a shard has at least one byte, not {self.shard_bytes}")


class ShardIndex(NamedTuple):
    """What lies in a shard.

    Attributes:
        records: Of each picture, in their order; of the type `RECORD`.
        names: What each was called in the source.
        first: Number, in the source's split, of the first picture that was tried for this shard.
        after: Number of the first that comes in the next one.
        bytes: Of the tar file.
        left_out: Name of each picture that can't be read, and why.
    """

    records: np.ndarray
    names: Sequence[str]
    first: int
    after: int
    bytes: int
    left_out: Sequence[tuple[str, str]]


class KeptIndex(NamedTuple):
    """An index without its names, which `read_names` reads."""

    records: np.ndarray
    first: int
    after: int
    bytes: int
    left_out: Sequence[tuple[str, str]]


def shard_path(folder: Path, split: str, number: int) -> Path:
    """Name a shard."""
    return folder / f"{split}-{number:06}.tar"


def index_path(shard: Path) -> Path:
    """Name the index of a shard."""
    return shard.with_suffix(".npz")


def write_index(shard: Path, index: ShardIndex) -> None:
    """Write the index of a shard, whole or not at all.

    Raises:
        FileError: It can't be written.
    """
    told = {
        "format": _FORMAT,
        "first": index.first,
        "after": index.after,
        "bytes": index.bytes,
        "left_out": index.left_out,
    }
    with whole_file(index_path(shard)) as aside, aside.open("wb") as file:
        np.savez(
            file,
            records=index.records,
            names=_bytes(list(index.names)),
            told=_bytes(told),
        )


def read_index(shard: Path) -> KeptIndex:
    """Read the index of a shard.

    Raises:
        FileError: It is missing or damaged.
    """
    with _opened(index_path(shard)) as arrays:
        told, records = json.loads(arrays["told"].tobytes()), arrays["records"]
        if told["format"] != _FORMAT or records.dtype != RECORD:
            raise ValueError(f"format {told['format']}")
        bad = [(str(name), str(reason)) for name, reason in told["left_out"]]
        return KeptIndex(records, told["first"], told["after"], told["bytes"], bad)


def read_names(shard: Path) -> list[str]:
    """Read what the pictures of a shard were called.

    Raises:
        FileError: The index is missing or damaged.
    """
    with _opened(index_path(shard)) as arrays:
        return json.loads(arrays["names"].tobytes())


def _bytes(value: Any) -> np.ndarray:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


@contextlib.contextmanager
def _opened(path: Path) -> Any:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            yield arrays
    except FileNotFoundError as error:
        raise FileError(f"there is no file {path}: the shard beside it needs it") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise FileError(f"{path} is damaged, copy it again or pack anew: {error}") from error


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write `pack.json`, whole or not at all.

    Raises:
        FileError: It can't be written.
    """
    document = {"format": _FORMAT, **manifest}
    write_text(folder / MANIFEST, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read `pack.json`.

    Raises:
        FileError: It is missing, damaged or of another format.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        known = manifest["format"] == _FORMAT
    except FileNotFoundError as error:
        raise FileError(
            f"{folder} is no packed data set, for it has no {MANIFEST}: see `convatlas data pack`"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(f"can't read {path}: {error}") from error
    if not known:
        raise FileError(
            f"{path} is of format {manifest['format']}, this convatlas reads {_FORMAT}: pack anew"
        )
    return manifest


def card_to_dict(card: DataCard) -> dict[str, Any]:
    """Give the fields of a card as JSON takes them."""
    return json.loads(json.dumps(asdict(card)))


def card_from_dict(data: Mapping[str, Any], **changes: Any) -> DataCard:
    """Read what `card_to_dict` gave, with some fields changed.

    Raises:
        TypeError: A field is unknown or missing.
    """
    known = {field.name for field in fields(DataCard)}
    values: dict[str, Any] = {key: v for key, v in {**data, **changes}.items() if key in known}
    for key, value in values.items():
        if isinstance(value, list):
            values[key] = tuple(value)
    return DataCard(**values)
