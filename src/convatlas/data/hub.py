"""Data sets of the Hugging Face hub, or in its formats on this disk, by the library `datasets`."""

import hashlib
import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convatlas.data.card import Source
from convatlas.data.dealing import divided
from convatlas.data.folder import picture_card
from convatlas.data.images import read_image_bytes, read_view_bytes
from convatlas.data.view import View
from convatlas.errors import FileError, InputError

HASHED = 256  # pictures of a split whose bytes are part of its fingerprint

LABELS = ("label", "labels", "fine_label")  # columns that are taken for the class, in this order

_SPLITS = {
    "train": ("train",),
    "val": ("validation", "val", "valid"),
    "test": ("test",),
}


@dataclass(frozen=True, eq=False)
class TableSplit:
    """Pictures in the rows of a table, read when they are asked for.

    Attributes:
        table: A `datasets.Dataset` whose pictures are not decoded.
        column: Of the pictures.
        rows: Which rows are in the split.
        labels: The class of each.
        noun: What `name` calls one of them.
    """

    table: Any
    column: str
    rows: np.ndarray
    labels: list[int]
    noun: str

    def __len__(self) -> int:
        return len(self.rows)

    def content(self, i: int) -> bytes:
        """Give the bytes of the file of picture `i`.

        Raises:
            FileError: They can't be read.
        """
        stored = self.table[int(self.rows[i])][self.column] or {}
        if stored.get("bytes") is not None:
            return stored["bytes"]
        if stored.get("path") is None:
            raise FileError(f"{self.name(i)} is empty")
        try:
            return Path(stored["path"]).read_bytes()
        except OSError as error:
            raise FileError(f"can't read {stored['path']}: {error.strerror or error}") from error

    def image(self, i: int) -> Image.Image:
        """Read picture `i`.

        Raises:
            FileError: It can't be read.
        """
        return read_image_bytes(self.content(i), self.name(i))

    def view(self, i: int) -> View:
        """Read picture `i`; see `convatlas.data.images.read_view`."""
        return read_view_bytes(self.content(i), self.name(i))

    def label(self, i: int) -> int:
        """Give the class of picture `i`."""
        return self.labels[i]

    def name(self, i: int) -> str:
        """Give "beans: train 17": data set, its split, and the row there."""
        return f"{self.noun} {self.rows[i]}"

    def fingerprint(self) -> str:
        """Give 16 hexadecimal digits that change with the pictures.

        With their rows, labels and sizes in bytes, and with the bytes of `HASHED` of them, spread
        evenly. What the library calls a fingerprint changes with the place of the files, too.
        """
        digest = hashlib.sha256()
        sizes = np.fromiter(self._sizes(), np.int64, len(self.table))
        for values in (self.rows, self.labels, sizes[self.rows]):
            digest.update(np.asarray(values, np.int64).tobytes())
        for i in np.linspace(0, len(self) - 1, min(HASHED, len(self))).round().astype(int).tolist():
            try:
                digest.update(self.content(i))
            except FileError:
                digest.update(b"missing")  # reading it will tell why
        return digest.hexdigest()[:16]

    def _sizes(self) -> Iterator[int]:
        """Give the bytes of each picture of the table, of which only lengths are read; -1: none."""
        compute = importlib.import_module("pyarrow.compute")
        for rows in self.table.with_format("arrow").iter(batch_size=1000):
            stored = rows[self.column]
            lengths = compute.binary_length(compute.struct_field(stored, "bytes")).to_pylist()
            paths = compute.struct_field(stored, "path").to_pylist()
            for length, path in zip(lengths, paths, strict=True):
                yield _size_of(path) if length is None else length

    def part(self, indices: np.ndarray) -> "TableSplit":
        """Give the split of these pictures, in this order."""
        labels = [self.labels[i] for i in indices.tolist()]
        return replace(self, rows=self.rows[indices], labels=labels)


def open_hub(name: str, root: Path | None = None, seed: int = 0) -> Source:
    """Open a data set of the hub, or a folder in one of its formats.

    One of `validation` and `test` may be missing: the other one is the test split then, and a
    tenth of `train` is for validation; so is a test split whose labels are not published. With
    `train` alone, each class is dealt out 80 : 10 : 10.

    Args:
        name: Of a data set, such as `ylecun/mnist`, with `:CONFIGURATION` behind it where it has
            several; or the path of a folder of parquet files, or of one that `save_to_disk` wrote.
        root: Folder that holds the folder.
        seed: Of the split, where one is drawn.

    Raises:
        InputError: The library is not installed; or there are no columns of pictures and classes.
        FileError: There is no such data set, or it can't be fetched.
    """
    tables = _fetched(name, root)
    column, label = _columns(name, next(iter(tables.values())).features)
    classes, numbers = _classes(tables, label)
    if len(classes) < 2:
        raise InputError(f"{name} has {len(classes)} classes in its column {label}")
    found = {}
    for kind, names in _SPLITS.items():
        key = next((key for key in names if key in tables and min(numbers[key]) >= 0), None)
        if key is not None:
            table = _undecoded(tables[key], column)
            rows = np.arange(len(table))
            found[kind] = TableSplit(table, column, rows, numbers[key], f"{name}: {key}")
    if "train" not in found:
        raise InputError(f"{name} has no split train; it has {', '.join(tables)}")
    card = replace(picture_card(Path(name), classes, "hf"), name=f"hf:{name}", title=name)
    splits = divided(found["train"], found.get("val"), found.get("test"), seed, name)
    return Source(card, *splits)


def _size_of(path: str | None) -> int:
    try:
        return -1 if path is None else Path(path).stat().st_size
    except OSError:
        return -1


def _fetched(name: str, root: Path | None) -> Mapping[str, Any]:
    datasets = _library()
    datasets.disable_progress_bars()
    folder = (root or Path()) / Path(name).expanduser()
    try:
        if not folder.exists():
            path, _, configuration = name.partition(":")
            found = datasets.load_dataset(path, configuration or None)
        elif any((folder / file).exists() for file in ("dataset_dict.json", "state.json")):
            found = datasets.load_from_disk(str(folder))
        else:
            found = datasets.load_dataset(str(folder))
    except Exception as error:  # of the network, of the hub, of the files: errors of any type
        reason = " ".join(str(error).split()) or type(error).__name__
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise FileError(
            f"{name} is no folder, and can't be fetched from the hub{offline}: {reason}"
            if not folder.exists()
            else f"{folder} is no data set: {reason}"
        ) from error
    tables = found if isinstance(found, dict) else {"train": found}
    if not tables or not all(len(table) for table in tables.values()):
        raise FileError(f"{name} has a split without pictures")
    return tables


def _library() -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise InputError("hf: needs a library of its own: pip install 'convatlas[hf]'") from error


def _columns(name: str, features: Mapping[str, Any]) -> tuple[str, str]:
    datasets = _library()
    pictures = [key for key, kind in features.items() if isinstance(kind, datasets.Image)]
    labels = [key for key in LABELS if key in features]
    labels += [key for key, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    if len(pictures) != 1 or not labels:
        raise InputError(
            f"{name} needs one column of pictures and a column {' or '.join(LABELS)}; "
            f"it has {', '.join(features)}"
        )
    return pictures[0], labels[0]


def _classes(tables: Mapping[str, Any], label: str) -> tuple[Sequence[str], dict[str, list[int]]]:
    """Give the names of the classes, and the class of each row of each split."""
    values = {key: list(table.select_columns([label])[:][label]) for key, table in tables.items()}
    names = getattr(next(iter(tables.values())).features[label], "names", None)
    whole = [value for column in values.values() for value in column]
    if all(isinstance(value, int) for value in whole):
        return names or [str(i) for i in range(max(whole) + 1)], values
    names = sorted({str(value) for value in whole})
    number = {name: i for i, name in enumerate(names)}
    return names, {key: [number[str(v)] for v in column] for key, column in values.items()}


def _undecoded(table: Any, column: str) -> Any:
    undecoded = _library().Image(decode=False)
    return table.select_columns([column]).cast_column(column, undecoded)
