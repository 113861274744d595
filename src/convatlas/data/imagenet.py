"""ImageNet (ILSVRC 2012) in its official layout: `train/<wnid>/`, and `val/` sorted or flat."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from convatlas.data.card import Source
from convatlas.data.dealing import held_out
from convatlas.data.folder import FolderSplit, folders, picture_card, pictures
from convatlas.data.synsets import TRUTH, Synsets, find_synsets, find_truth
from convatlas.errors import FileError

VAL_PER_CLASS = 50  # training images kept for validation: as many as the official set has
TRAIN = ("train", "ILSVRC2012_img_train")
VAL = ("val", "ILSVRC2012_img_val")


def open_imagenet(folder: Path, seed: int = 0) -> Source:
    """Open ImageNet, or a part of it.

    The official validation images are the test split: they are what networks are compared by, and
    are read once, at the end. For validation, 50 training images a class are kept, but no more
    than a tenth. Without `train/` there is only something to evaluate on.

    The labels are the places of the sorted WordNet numbers of the devkit's `meta.mat` or of
    `synset_words.txt`, so that a part of the classes is numbered as the whole; without these
    files, of the folders in `train/`. A flat `val/` needs the devkit's ground truth and `meta.mat`.

    Args:
        folder: With `train/`, `val/` or both, and the devkit's files, or a folder of them.
        seed: Of the validation split.

    Raises:
        FileError: Something is missing, damaged, or in no class.
    """
    train, val = _place(folder, TRAIN), _place(folder, VAL)
    if train is None and val is None:
        raise FileError(f"{folder} has neither train/ nor val/: it is not ImageNet's layout")
    synsets = find_synsets(folder) or _by_folders(folder, train or val or "")
    learnt = _sorted_in(folder, train, synsets)
    tested = _flat(folder, val, synsets) or _sorted_in(folder, val, synsets)
    kept = FolderSplit(folder, [], [])
    if learnt.files:
        most = VAL_PER_CLASS * len(set(learnt.labels))
        learnt, kept = held_out(learnt, seed, lambda count: min(most, max(1, count // 10)))
    card = picture_card(folder, synsets.names, "imagenet")
    card = replace(
        card,
        title="ImageNet (ILSVRC 2012)",
        citation="O. Russakovsky et al.: ImageNet Large Scale Visual Recognition Challenge. "
        "International Journal of Computer Vision, 2015",
        licence="non-commercial research and education only",
        url="https://www.image-net.org",
    )
    return Source(card, learnt, kept, tested)


def _place(folder: Path, names: Sequence[str]) -> str | None:
    return next((name for name in names if (folder / name).is_dir()), None)


def _by_folders(folder: Path, place: str) -> Synsets:
    names = tuple(folders(folder / place))
    if len(names) < 2:
        raise FileError(
            f"{folder / place} has {len(names)} class folders, and {folder} no list of classes "
            "(meta.mat or synset_words.txt)"
        )
    return Synsets(names, names, {})


def _sorted_in(folder: Path, place: str | None, synsets: Synsets) -> FolderSplit:
    """Find the pictures of a place with a folder for each class."""
    if place is None:
        return FolderSplit(folder, [], [])
    label = {wnid: i for i, wnid in enumerate(synsets.wnids)}
    inside = folders(folder / place)
    strange = [name for name in inside if name not in label]
    if strange:
        raise FileError(f"{folder / place} has folders of no class: {', '.join(strange[:5])}")
    found = {name: pictures(folder, folder / place / name) for name in inside}
    if not any(found.values()):
        raise FileError(f"{folder / place} has no pictures in class folders")
    return FolderSplit(
        folder,
        [file for name in inside for file in found[name]],
        [label[name] for name in inside for _ in found[name]],
    )


def _flat(folder: Path, place: str | None, synsets: Synsets) -> FolderSplit | None:
    """Find validation pictures that lie side by side; None: they don't."""
    if place is None or folders(folder / place):
        return None
    files = pictures(folder, folder / place)
    if not files:
        raise FileError(f"{folder / place} has no pictures")
    truth = find_truth(folder, synsets)
    if truth is None:
        raise FileError(
            f"{folder / place} has pictures without class folders: put the devkit's {TRUTH} and "
            f"meta.mat into {folder}, or sort them into folders"
        )
    return FolderSplit(folder, files, [_label(folder, file, truth) for file in files])


def _label(folder: Path, file: str, truth: Sequence[int]) -> int:
    number = Path(file).stem.rpartition("_")[2]
    if not number.isdecimal() or not 1 <= int(number) <= len(truth):
        raise FileError(
            f"{folder / file} has no number from 1 to {len(truth)}, as in "
            "ILSVRC2012_val_00000001.JPEG"
        )
    return truth[int(number) - 1]
