"""A CSV file that lists pictures: a path and a class a line, and the split if there are some."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from convatlas.data.card import Source
from convatlas.data.dealing import dealt, divided
from convatlas.data.folder import FolderSplit, picture_card
from convatlas.errors import FileError, suggest

SPLITS = ("train", "val", "test")
PROBED = 20  # pictures that are looked for before anything else

_COLUMNS = ("path", "label", "split")


class _Row(NamedTuple):
    path: str
    label: str
    split: str


def open_table(file: Path, seed: int = 0) -> Source:
    """Open a CSV file with a line of names on top: `path`, `label`, and, if you like, `split`.

    A path counts from the folder of the file. A label is the name of a class; names that all are
    whole numbers are sorted as such. Without the column `split`, each class is dealt out
    80 : 10 : 10. With it, lines say `train`, `val` or `test`; where one of `val` and `test` is
    missing, the other one is the test split, and a tenth of `train` is for validation.

    Args:
        file: The file, in UTF-8.
        seed: Of the split, where one is drawn.

    Raises:
        FileError: It can't be read, a line is incomplete, or it has too few pictures or classes;
            the message names the line.
    """
    rows = list(_rows(file))
    classes = _classes(row.label for row in rows)
    if len(classes) < 2:
        raise FileError(f"{file} needs two classes or more; it has {len(classes)}")
    splits = {
        name: _split(file, [row for row in rows if row.split == name], classes)
        for name in ("", *SPLITS)
    }
    _check_files(file, rows)
    card = picture_card(file, classes, "csv")
    if splits[""].files:
        return Source(card, *dealt(splits[""], seed, file))
    _check_splits(file, classes, splits)
    train, val, test = (splits[name] for name in SPLITS)
    return Source(card, *divided(train, val, test, seed, file))


def _rows(file: Path) -> Iterator[_Row]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            names = [name.strip().lower() for name in next(reader, [])]
            _check_names(file, names)
            for cells in reader:
                if cells:
                    yield _row(f"{file}, line {reader.line_num}", names, cells)
    except FileNotFoundError as error:
        raise FileError(f"there is no file {file}") from error
    except UnicodeDecodeError as error:
        raise FileError(f"{file} is not in UTF-8") from error
    except csv.Error as error:
        raise FileError(f"{file}, line {reader.line_num}: {error}") from error
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"can't read {file}: {error.strerror or error}") from error


def _check_names(file: Path, names: list[str]) -> None:
    missing = [name for name in ("path", "label") if name not in names]
    if missing:
        raise FileError(
            f"{file} needs the columns path and label, separated by commas; its first line has "
            f"{', '.join(names) or 'nothing'}"
        )


def _row(where: str, names: list[str], cells: list[str]) -> _Row:
    if len(cells) != len(names):
        raise FileError(f"{where} has {len(cells)} cells, and the first line {len(names)}")
    found = dict(zip(names, (cell.strip() for cell in cells), strict=True))
    for name in _COLUMNS:
        if name in names and not found[name]:
            raise FileError(f"{where} has no {name}")
    split = found.get("split", "")
    if split and split not in SPLITS:
        raise FileError(f"{where}: there is no split {split!r}{suggest(split, SPLITS)}")
    return _Row(found["path"], found["label"], split)


def _classes(labels: Iterator[str]) -> list[str]:
    names = sorted(set(labels))
    if all(name.isdecimal() for name in names):
        names.sort(key=int)
    return names


def _split(file: Path, rows: list[_Row], classes: list[str]) -> FolderSplit:
    label = {name: i for i, name in enumerate(classes)}
    return FolderSplit(file.parent, [r.path for r in rows], [label[r.label] for r in rows])


def _check_files(file: Path, rows: list[_Row]) -> None:
    """Refuse paths that count from elsewhere; single files that are missing are bad images."""
    probed = rows[:PROBED]
    if not any((file.parent / row.path).exists() for row in probed):
        raise FileError(
            f"none of the first {len(probed)} pictures of {file} exists, such as "
            f"{file.parent / probed[0].path}: paths count from {file.parent}"
        )


def _check_splits(file: Path, classes: list[str], splits: Mapping[str, FolderSplit]) -> None:
    train = splits["train"]
    if not train.files:
        raise FileError(f"{file} has no line whose split is train")
    if not splits["val"].files and not splits["test"].files:
        raise FileError(f"{file} has no line whose split is val or test")
    counts = np.bincount(train.labels, minlength=len(classes))
    unknown = [name for name, count in zip(classes, counts, strict=True) if not count]
    if unknown:
        raise FileError(f"{file} has no line of split train for the classes {', '.join(unknown)}")
