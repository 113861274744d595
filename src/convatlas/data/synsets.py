"""The classes of ImageNet, and the class of each validation image, from the official devkit."""

from dataclasses import dataclass
from pathlib import Path

from convatlas.data.matlab import read_matlab
from convatlas.errors import FileError

META = "meta.mat"
WORDS = "synset_words.txt"
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
PLACES = (".", "devkit", "ILSVRC2012_devkit_t12/data", "ILSVRC2012_devkit_t12", "data")


@dataclass(frozen=True, slots=True)
class Synsets:
    """The classes of a challenge.

    Attributes:
        wnids: WordNet's numbers, such as n01440764, sorted: their places are the labels.
        names: What people call each.
        numbers: The challenge's own number of each -> label; empty: not known.
    """

    wnids: tuple[str, ...]
    names: tuple[str, ...]
    numbers: dict[int, int]


def find_synsets(folder: Path) -> Synsets | None:
    """Read the classes from `meta.mat`, or else from `synset_words.txt`; None: neither is there.

    Args:
        folder: Of the data set; the files lie in it, or in a folder of the devkit inside.

    Raises:
        FileError: A file is damaged.
    """
    meta = _found(folder, META)
    if meta is not None:
        return _from_meta(meta)
    words = _found(folder, WORDS)
    return None if words is None else _from_words(words)


def find_truth(folder: Path, synsets: Synsets) -> list[int] | None:
    """Read the label of each validation image, by its number; None: the file is not there.

    Raises:
        FileError: It is damaged, or its numbers mean nothing without `meta.mat`.
    """
    path = _found(folder, TRUTH)
    if path is None:
        return None
    if not synsets.numbers:
        raise FileError(f"{path} holds numbers whose classes only {META} knows: put it beside")
    lines = _lines(path)
    try:
        return [synsets.numbers[int(line)] for line in lines]
    except (ValueError, KeyError) as error:
        raise FileError(f"{path} holds a line that is no class: {error}") from error


def _from_meta(path: Path) -> Synsets:
    variables = read_matlab(path)
    try:
        leaves = [
            (entry["WNID"], entry["words"], int(entry["ILSVRC2012_ID"].item()))
            for entry in variables["synsets"]
            if entry["num_children"].item() == 0
        ]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FileError(f"{path} is no list of synsets: {error}") from error
    leaves.sort()
    numbers = {number: label for label, (_, _, number) in enumerate(leaves)}
    return Synsets(tuple(leaf[0] for leaf in leaves), tuple(leaf[1] for leaf in leaves), numbers)


def _from_words(path: Path) -> Synsets:
    pairs = sorted(line.split(maxsplit=1) for line in _lines(path))
    if any(len(pair) != 2 for pair in pairs):
        raise FileError(f"{path} has a line without a number and a name")
    return Synsets(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs), {})


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not in UTF-8") from error
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror or error}") from error


def _found(folder: Path, name: str) -> Path | None:
    return next((p for place in PLACES if (p := folder / place / name).is_file()), None)
