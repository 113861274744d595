"""A folder of images and masks: what a segmentation network learns from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from convatlas.data.card import DataCard
from convatlas.data.dealing import HELD_OUT
from convatlas.data.images import read_image
from convatlas.data.masks import name_classes, present, read_values, to_classes
from convatlas.data.pairs import Pair, find_pairs, find_places, refuse_sizes
from convatlas.errors import FileError, InputError

PREFIX = "segmentation:"
CLASSES_FILE = "classes.txt"
MEASURED = 64  # images of which mean and spread are taken


@dataclass(frozen=True, eq=False)
class SegmentationSplit:
    """Images and masks in files, read when they are asked for.

    Attributes:
        pairs: The files.
        classes: Names, by the values of the masks.
    """

    pairs: Sequence[Pair]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def image(self, i: int) -> Image.Image:
        """Read image `i`, in mode "L" or "RGB".

        Raises:
            FileError: It can't be read.
        """
        return read_image(self.pairs[i].image, self.pairs[i].page)

    def mask(self, i: int) -> np.ndarray:
        """Read the class of each pixel of image `i`, (H, W), uint8; `masks.IGNORED` for none.

        Raises:
            FileError: It can't be read, or a value is no class.
        """
        pair = self.pairs[i]
        return to_classes(read_values(pair.mask, pair.page), self.classes, pair.mask)

    def pair(self, i: int) -> tuple[Image.Image, np.ndarray]:
        """Read image `i` and its mask.

        Raises:
            FileError: One can't be read, or their sizes differ.
        """
        if self.pairs[i].problem:
            raise FileError(self.pairs[i].problem)
        image, mask = self.image(i), self.mask(i)
        if mask.shape != (image.height, image.width):
            refuse_sizes(self.pairs[i], (image.height, image.width), mask.shape)
        return image, mask

    def name(self, i: int) -> str:
        """Give the name of image `i`: its path below the folder, and its page in a stack."""
        return self.pairs[i].name

    def fingerprint(self) -> str:
        """Give 16 hexadecimal digits that change with names, classes and sizes of files."""
        digest = hashlib.sha256("\0".join(self.classes).encode())
        for pair in self.pairs:
            sizes = [file.stat().st_size for file in (pair.image, pair.mask)]
            digest.update(f"{pair.name}\0{pair.page}\0{sizes}\0".encode())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class SegmentationSource:
    """A card and its three splits; the test split is for the end."""

    card: DataCard
    train: SegmentationSplit
    val: SegmentationSplit
    test: SegmentationSplit


def is_segmentation(text: str) -> bool:
    """Say whether the text of a source asks for images and masks."""
    return text.startswith(PREFIX)


def open_segmentation(text: str, *, root: Path | None = None, seed: int = 0) -> SegmentationSource:
    """Open a folder of images and masks, in one of three layouts.

    - `train/`, `val/` and `test/`, each with images and masks: as they are.
    - `train/` and one of `val/` and `test/`: that one is the test split, which is read once, at
      the end; a tenth of `train/` is for validation.
    - Images and masks and no more: 80 % for training, 10 % for validation, 10 % for testing.

    "Images and masks" are two folders, `images/` and `masks/`, with files of one stem, in any
    formats; or two stacks, `images.tif` and `masks.tif`. A stack's page is an image. Classes are
    the values of masks, or black and white; `classes.txt` names them, one a line.

    A pair that can't be read is no error here: see `convatlas.data.tolerant`.

    Args:
        text: "segmentation:PATH".
        root: What PATH is relative to; None: the working directory.
        seed: Of the split, where one is drawn. A network must be tested with the one it was
            trained with.

    Raises:
        InputError: No path is given.
        FileError: There is no such folder, an image lacks its mask, no pair can be read, or the
            masks hold what are no classes.
    """
    path = text.removeprefix(PREFIX)
    if not path:
        raise InputError(f"{PREFIX} takes a path, such as {PREFIX}my/cells")
    folder = (root or Path()) / Path(path).expanduser()
    inside = [name for name in ("train", "val", "test") if (folder / name).is_dir()]
    if not folder.is_dir():
        raise FileError(f"there is no folder {folder}")
    if "train" not in inside:
        if inside and find_places(folder) is None:
            raise FileError(f"{folder} has {inside[0]}/ but no train/")
        parts = _dealt(find_pairs(folder, folder), seed)
    elif len(inside) == 1:
        raise FileError(f"{folder} has train/ but neither val/ nor test/")
    else:
        parts = [find_pairs(folder, folder / name) for name in inside]
        if len(parts) == 2:
            kept, val = _cut(parts[0], max(1, round(HELD_OUT * len(parts[0]))), seed)
            parts = [kept, val, parts[1]]
    classes, parts = _classes(folder, parts)
    _check_some(folder, parts)
    train, val, test = (SegmentationSplit(part, classes) for part in parts)
    if not len(train) or not len(val):
        raise FileError(f"{folder} has too few images: none are left for training and validation")
    return SegmentationSource(_card(folder, classes, train), train, val, test)


def _cut(pairs: list[Pair], count: int, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Set `count` of the pairs aside at random; both parts stay in order."""
    aside = set(np.random.default_rng(seed).permutation(len(pairs))[:count].tolist())
    return (
        [pair for i, pair in enumerate(pairs) if i not in aside],
        [pair for i, pair in enumerate(pairs) if i in aside],
    )


def _dealt(pairs: list[Pair], seed: int) -> list[list[Pair]]:
    count = max(1, round(HELD_OUT * len(pairs)))
    rest, test = _cut(pairs, count, seed)
    train, val = _cut(rest, count, seed)
    return [train, val, test]


def _classes(folder: Path, parts: list[list[Pair]]) -> tuple[tuple[str, ...], list[list[Pair]]]:
    """Read the names of the classes, or find the classes in the masks, and broken masks with them.

    Returns:
        The names; the pairs with what became known of them.
    """
    file = folder / CLASSES_FILE
    if not file.is_file():
        found = set[int]()
        parts = [[_looked_at(pair, found) for pair in part] for part in parts]
        _check_some(folder, parts)
        return name_classes(found, folder), parts
    return _named_classes(file), parts


def _looked_at(pair: Pair, found: set[int]) -> Pair:
    """Add the values of a mask to those that were found; say it of the pair if there are none."""
    if pair.problem:
        return pair
    try:
        found |= present(read_values(pair.mask, pair.page))
    except FileError as error:
        return replace(pair, problem=str(error))
    return pair


def _check_some(folder: Path, parts: Sequence[Sequence[Pair]]) -> None:
    """Refuse a folder without a pair of which nothing bad is known."""
    pairs = [pair for part in parts for pair in part]
    if all(pair.problem for pair in pairs):
        raise FileError(f"{folder} has no image with a mask that can be read: {pairs[0].problem}")


def _named_classes(file: Path) -> tuple[str, ...]:
    try:
        names = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"can't read {file}: {error}") from error
    names = [name for name in names if name]
    if len(names) < 2 or len(set(names)) < len(names):
        raise FileError(f"{file} must name two or more classes, each once, one a line")
    return tuple(names)


def _card(folder: Path, classes: tuple[str, ...], train: SegmentationSplit) -> DataCard:
    """Measure what the network's input is normalised by, on training images that can be read."""
    good = [i for i, pair in enumerate(train.pairs) if not pair.problem]
    chosen = np.linspace(0, len(good) - 1, min(MEASURED, len(good))).round().astype(int)
    counts, grey, problem = np.zeros((3, 256)), True, ""
    for i in chosen.tolist():
        try:
            pixels = np.asarray(train.image(good[i]).convert("RGB")).reshape(-1, 3)
        except FileError as error:
            problem = problem or str(error)
            continue
        grey = grey and bool((pixels == pixels[:, :1]).all())
        counts += [np.bincount(channel, minlength=256) for channel in pixels.T]
    if not counts.any():
        raise FileError(f"{folder} has no image for training that can be read: {problem}")
    shares = counts[: 1 if grey else 3] / counts[0].sum()
    values = np.arange(256) / 255
    mean = shares @ values
    std = np.sqrt((shares * np.square(values - mean[:, None])).sum(axis=1))
    return DataCard(
        name=f"segmentation:{folder}",
        title=folder.resolve().name,
        classes=classes,
        channels=1 if grey else 3,
        image_size=None,
        mean=tuple(mean.tolist()),
        std=tuple(std.clip(1 / 255).tolist()),
        interpolation="bilinear",
        citation="",
        licence="",
        url="",
    )
