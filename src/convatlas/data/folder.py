"""A folder of pictures, one folder a class: what torchvision's `ImageFolder` reads."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from convatlas.data.card import IMAGENET_MEAN, IMAGENET_STD, DataCard, Source
from convatlas.data.dealing import dealt, held_out
from convatlas.data.images import read_image, read_view
from convatlas.data.view import View
from convatlas.errors import FileError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, eq=False)
class FolderSplit:
    """Pictures in files, read when they are asked for.

    Attributes:
        folder: Where the source lies.
        files: Path of each picture below `folder`.
        labels: The class of each.
    """

    folder: Path
    files: Sequence[str]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.files)

    def image(self, i: int) -> Image.Image:
        """Read picture `i`.

        Raises:
            FileError: It can't be read.
        """
        return read_image(self.folder / self.files[i])

    def view(self, i: int) -> View:
        """Read picture `i`; see `convatlas.data.images.read_view`."""
        return read_view(self.folder / self.files[i])

    def content(self, i: int) -> bytes:
        """Give the bytes of file `i`.

        Raises:
            FileError: It can't be read.
        """
        path = self.folder / self.files[i]
        try:
            return path.read_bytes()
        except OSError as error:
            raise FileError(f"can't read {path}: {error.strerror or error}") from error

    def label(self, i: int) -> int:
        """Give the class of picture `i`."""
        return self.labels[i]

    def name(self, i: int) -> str:
        """Give the path of picture `i` below the folder."""
        return self.files[i]

    def part(self, indices: np.ndarray) -> "FolderSplit":
        """Give the split of these pictures, in this order."""
        chosen = indices.tolist()
        return FolderSplit(
            self.folder, [self.files[i] for i in chosen], [self.labels[i] for i in chosen]
        )


def open_folder(folder: Path, seed: int = 0) -> Source:
    """Open a folder of pictures, in one of three layouts.

    - `train/`, `val/` and `test/`, each with a folder a class: as they are.
    - `train/` and one of `val/` and `test/`: that one is the test split, which is read once, at
      the end; a tenth of `train/` is for validation.
    - A folder a class and no more: 80 % for training, 10 % for validation, 10 % for testing.

    Classes are sorted by name. Folders inside a class are searched too; names that begin with a
    dot are passed over.

    Args:
        folder: The folder.
        seed: Of the stratified split, where one is drawn. Two seeds give two test splits: a
            network must be tested with the one it was trained with.

    Raises:
        FileError: There is no such folder, or its classes can't be learnt from.
    """
    _check_name(folder)
    inside = folders(folder)
    others_inside = [name for name in ("val", "test") if name in inside]
    if "train" not in inside:
        if others_inside == inside and inside:
            raise FileError(f"{folder} has {others_inside[0]}/ but no train/")
        classes, whole = _scan(folder, "", inside, least=2)
        return Source(picture_card(folder, classes), *dealt(whole, seed, folder))
    if not others_inside:
        raise FileError(f"{folder} has train/ but neither val/ nor test/")
    classes, train = _scan(folder, "train", folders(folder / "train"), least=2)
    others = []
    for name in others_inside:
        other_classes, split = _scan(folder, name, folders(folder / name), least=1)
        _check_same(folder, classes, name, other_classes)
        others.append(split)
    if len(others) == 1:
        train, val = held_out(train, seed)
        others.insert(0, val)
    return Source(picture_card(folder, classes), train, *others)


def picture_card(place: Path, classes: Sequence[str], kind: str = "folder") -> DataCard:
    """Describe pictures of any size, of which no more is known than where they lie."""
    return DataCard(
        name=f"{kind}:{place}",
        title=place.resolve().name,
        classes=tuple(classes),
        channels=3,
        image_size=None,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        interpolation="bilinear",
        citation="",
        licence="",
        url="",
    )


def folders(folder: Path) -> list[str]:
    """Name the folders inside, sorted; those whose names begin with a dot are passed over.

    Raises:
        FileError: There is no such folder, or it is empty.
    """
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError as error:
        raise FileError(f"there is no folder {folder}") from error
    except OSError as error:
        raise FileError(f"can't read {folder}: {error.strerror or error}") from error
    if not entries:
        raise FileError(f"{folder} is empty")
    return [entry.name for entry in entries if entry.is_dir() and entry.name[0] != "."]


def _scan(
    folder: Path, split: str, classes: list[str], least: int
) -> tuple[list[str], FolderSplit]:
    place = folder / split
    for name in classes:
        _check_name(place / name)
    found = {name: pictures(folder, place / name) for name in classes}
    if not any(found.values()):
        raise FileError(
            f"{place} has no pictures in class folders (files that end in {', '.join(EXTENSIONS)})"
        )
    if len(classes) < 2:
        raise FileError(f"{place} has one class only, {classes[0]!r}: there is nothing to tell")
    for name, files in found.items():
        if len(files) < least:
            raise FileError(
                f"class {name!r} in {place} needs {least} or more pictures; found {len(files)}"
            )
    files = [file for name in classes for file in found[name]]
    labels = [label for label, name in enumerate(classes) for _ in found[name]]
    return classes, FolderSplit(folder, files, labels)


def pictures(folder: Path, start: Path) -> list[str]:
    """Find the files below `start` that are pictures by their names.

    Returns:
        Their paths below `folder`, sorted.

    Raises:
        FileError: A folder can't be read, or a name is not UTF-8.
    """
    found, seen = [], set()
    for place, folders, files in os.walk(start, followlinks=True, onerror=_refuse):
        real = Path(place).resolve()
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if name[0] != "."]
        inside = Path(place).relative_to(folder)
        found += [
            str(inside / name)
            for name in files
            if name[0] != "." and name.lower().endswith(EXTENSIONS)
        ]
    for file in found:
        _check_name(folder / file)
    return sorted(found)


def _check_name(path: Path) -> None:
    """Refuse a name that no JSON file can hold: bytes that are not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise FileError(f"the name of {shown} is not UTF-8: rename it") from error


def _refuse(error: OSError) -> None:
    raise FileError(f"can't read {error.filename}: {error.strerror or error}") from error


def _check_same(folder: Path, train: list[str], name: str, other: list[str]) -> None:
    missing, extra = sorted(set(train) - set(other)), sorted(set(other) - set(train))
    parts = []
    if missing:
        parts.append(f"{name}/ lacks {', '.join(missing)}")
    if extra:
        parts.append(f"train/ lacks {', '.join(extra)}")
    if parts:
        raise FileError(f"the classes in {folder} differ: {'; '.join(parts)}")
