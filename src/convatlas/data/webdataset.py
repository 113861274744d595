"""WebDataset: pictures in tar files, read at random by an index, so that runs can be taken up."""

import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from convatlas.data.card import Source
from convatlas.data.dealing import dealt, divided
from convatlas.data.folder import picture_card
from convatlas.data.images import read_image_bytes, read_view_bytes
from convatlas.data.shards import Sample, read_bytes, read_shard
from convatlas.data.view import View
from convatlas.errors import FileError, InputError

CLASSES_FILE = "classes.txt"
MOST_SHARDS = 100_000  # of one pattern
MOST_CLASSES = 100_000

_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True, eq=False)
class ShardSplit:
    """Pictures in tar files, read when they are asked for.

    Attributes:
        shards: The tar files.
        places: Of each picture, in which shard it lies and where.
        labels: The class of each.
    """

    shards: Sequence[Path]
    places: Sequence[tuple[int, Sample]]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.places)

    def content(self, i: int) -> bytes:
        """Give the bytes of picture `i`.

        Raises:
            FileError: They can't be read.
        """
        shard, sample = self.places[i]
        return read_bytes(self.shards[shard], sample)

    def image(self, i: int) -> Image.Image:
        """Read picture `i`.

        Raises:
            FileError: It can't be read.
        """
        return read_image_bytes(self.content(i), self._place(i))

    def view(self, i: int) -> View:
        """Read picture `i`; see `convatlas.data.images.read_view`."""
        return read_view_bytes(self.content(i), self._place(i))

    def _place(self, i: int) -> str:
        shard, sample = self.places[i]
        return f"{self.shards[shard]}/{sample.name}"

    def label(self, i: int) -> int:
        """Give the class of picture `i`."""
        return self.labels[i]

    def name(self, i: int) -> str:
        """Give the name of its shard and of its file, such as "train-000.tar/0001.jpg"."""
        shard, sample = self.places[i]
        return f"{self.shards[shard].name}/{sample.name}"

    def fingerprint(self) -> str:
        """Give 16 hexadecimal digits that change with the pictures."""
        digest = hashlib.sha256()
        for (shard, sample), label in zip(self.places, self.labels, strict=True):
            digest.update(f"{self.shards[shard].name}\0{sample}\0{label}\0".encode())
        return digest.hexdigest()[:16]

    def part(self, indices: np.ndarray) -> "ShardSplit":
        """Give the split of these pictures, in this order."""
        chosen = indices.tolist()
        return ShardSplit(
            self.shards, [self.places[i] for i in chosen], [self.labels[i] for i in chosen]
        )


def open_webdataset(pattern: Path, seed: int = 0) -> Source:
    """Open tar files by a pattern such as `data/train-{000..145}.tar` or `data/*.tar`.

    A shard whose name begins with the word `train`, `val` or `test`, or else whose folder is called
    so, belongs to that split. One of `val` and `test` may be missing: the other one is the test
    split then, and a tenth of `train` is for validation. Where no shard belongs to one, each class
    is dealt out 80 : 10 : 10.

    A class is what the `.cls` beside a picture says. Numbers may get names, in their order, from
    a file `classes.txt` beside the first shard.

    Args:
        pattern: With `{a,b}` and `{000..145}` as a shell has them, and `*`, `?` and `[ab]` in the
            names of files.
        seed: Of the split, where one is drawn.

    Raises:
        FileError: A shard is missing or damaged, or there is too little to learn from.
    """
    shards = _shards(pattern)
    found = [read_shard(shard) for shard in shards]
    places = [(i, sample) for i, samples in enumerate(found) for sample in samples]
    names, labels = _numbered(pattern, shards[0].parent, [sample.label for _, sample in places])
    if len(names) < 2:
        raise FileError(f"{pattern} needs two classes or more; it has {len(names)}")
    whole = ShardSplit(shards, places, labels)
    card = picture_card(pattern, names, "webdataset")
    kinds = [_kind(shard) for shard in shards]
    if not any(kinds):
        return Source(card, *dealt(whole, seed, pattern))
    if not all(kinds):
        strange = shards[kinds.index(None)]
        raise FileError(f"{strange} is of no split: its name should begin as train, val or test")
    return Source(card, *_given(whole, kinds, seed, pattern))


def expanded(pattern: str) -> Iterator[str]:
    """Write out the braces of a pattern as a shell does: {a,b}, {0..9}, {000..145}.

    Raises:
        InputError: A range has more than `MOST_SHARDS` numbers.
    """
    for start, end in _braces(pattern):
        choices = _choices(pattern[start + 1 : end])
        if choices:
            for choice in choices:
                for inner in expanded(choice):
                    for rest in expanded(pattern[end + 1 :]):
                        yield pattern[:start] + inner + rest
            return
    yield pattern


def _braces(pattern: str) -> Iterator[tuple[int, int]]:
    """Find where the outermost braces open and close."""
    opened: list[int] = []
    for place, letter in enumerate(pattern):
        if letter == "{":
            opened.append(place)
        elif letter == "}" and opened:
            start = opened.pop()
            if not opened:
                yield start, place


def _choices(text: str) -> list[str]:
    ends = re.fullmatch(r"(\d+)\.\.(\d+)", text)
    if ends is None:
        parts = _parts(text)
        return parts if len(parts) > 1 else []
    first, last = int(ends[1]), int(ends[2])
    if abs(last - first) >= MOST_SHARDS:
        raise InputError(f"{{{text}}} is more than {MOST_SHARDS} shards")
    width = max(map(len, ends.groups())) if any(e != str(int(e)) for e in ends.groups()) else 0
    step = 1 if last >= first else -1
    return [str(number).zfill(width) for number in range(first, last + step, step)]


def _parts(text: str) -> list[str]:
    """Split at the commas that stand in no inner braces."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "{") - (letter == "}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _shards(pattern: Path) -> list[Path]:
    shards = []
    for text in itertools.islice(expanded(str(pattern)), MOST_SHARDS):
        path = Path(text)
        shards += sorted(path.parent.glob(path.name)) if set("*?[") & set(path.name) else [path]
    if not shards:
        raise FileError(f"there is no file {pattern}")
    for shard in shards:
        if not shard.is_file():
            raise FileError(f"there is no file {shard}")
    return list(dict.fromkeys(shards))


def _kind(shard: Path) -> str | None:
    word = re.match(r"[a-z]*", shard.name.lower())
    named = _SPLITS.get(word[0]) if word is not None else None
    return named or _SPLITS.get(shard.parent.name.lower())


def _given(
    whole: ShardSplit, kinds: Sequence[str | None], seed: int, pattern: Path
) -> tuple[ShardSplit, ShardSplit, ShardSplit]:
    of_picture = np.array([kinds[shard] for shard, _ in whole.places])
    train, val, test = (
        whole.part(np.flatnonzero(of_picture == name)) for name in ("train", "val", "test")
    )
    if not len(train) or not (len(val) or len(test)):
        raise FileError(f"{pattern} needs pictures for training, and others for testing")
    return divided(train, val, test, seed, pattern)


def _numbered(pattern: Path, folder: Path, texts: Sequence[str]) -> tuple[Sequence[str], list[int]]:
    """Give the names of the classes, and the class of each picture by what its `.cls` says."""
    if not all(text.isdecimal() for text in texts):
        names = sorted(set(texts))
        label = {name: i for i, name in enumerate(names)}
        return names, [label[text] for text in texts]
    labels = [int(text) for text in texts]
    count = max(labels, default=-1) + 1
    file = folder / CLASSES_FILE
    if not file.is_file():
        if count > MOST_CLASSES:
            raise FileError(f"{pattern} has a class {count - 1}: is this the number of a class?")
        return [str(i) for i in range(count)], labels
    try:
        names = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"can't read {file}: {error}") from error
    if len(names) < count:
        raise FileError(f"{file} names {len(names)} classes, and {pattern} has a class {count - 1}")
    return names, labels
