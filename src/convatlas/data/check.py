"""Look through a source before anything is trained on it: what is in it, and what is wrong."""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from convatlas.data.card import Source
from convatlas.data.splits import Split, Stored
from convatlas.errors import FileError

AT_A_TIME = 512  # images that are handed to the threads at once


class _Seen(NamedTuple):
    size: tuple[int, int] | None  # height and width; None: it is bad
    mode: str
    digest: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class SplitCheck:
    """What is in a split.

    Attributes:
        count: Images.
        per_class: Images of each class, in the order of the labels.
        smallest: Least height and least width, each by itself; None without good images.
        median: Likewise.
        largest: Likewise.
        modes: Images stored in each of Pillow's colour modes.
        bad: Name of each image that can't be read, and why.
    """

    count: int
    per_class: list[int]
    smallest: tuple[int, int] | None
    median: tuple[int, int] | None
    largest: tuple[int, int] | None
    modes: dict[str, int]
    bad: dict[str, str]


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """What is in a source.

    Attributes:
        title: Of the source.
        classes: Names, by label.
        splits: Training, validation and test images.
        duplicates: Groups of images of equal bytes that lie in more than one split, each image as
            "train: cat/1.jpg".
    """

    title: str
    classes: tuple[str, ...]
    splits: dict[str, SplitCheck]
    duplicates: list[list[str]]

    @property
    def bad(self) -> int:
        """Count the images that can't be read."""
        return sum(len(split.bad) for split in self.splits.values())

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON takes them."""
        return asdict(self) | {"bad": self.bad}


def check_source(
    source: Source, threads: int = 1, progress: Callable[[int, int], None] | None = None
) -> SourceCheck:
    """Read every image of a source once.

    Args:
        source: Three splits.
        threads: That read at the same time; Pillow lets them.
        progress: Called with the images done and the images in all.
    """
    splits = {name: getattr(source, name) for name in ("train", "val", "test")}
    total, done = sum(map(len, splits.values())), 0
    places: dict[bytes, list[str]] = {}
    found = {}
    with ThreadPoolExecutor(threads) as pool:
        for name, split in splits.items():
            seen = []
            for part in _parts(split, pool):
                for one in part:
                    if one.size is not None:
                        image = f"{name}: {split.name(len(seen))}"
                        places.setdefault(one.digest, []).append(image)
                    seen.append(one)
                done += len(part)
                if progress is not None:
                    progress(done, total)
            found[name] = _summary(split, len(source.card.classes), seen)
    duplicates = [names for names in places.values() if _in_several(names)]
    return SourceCheck(source.card.title, source.card.classes, found, duplicates)


def _parts(split: Split, pool: ThreadPoolExecutor) -> Iterator[list[_Seen]]:
    for start in range(0, len(split), AT_A_TIME):
        part = range(start, min(start + AT_A_TIME, len(split)))
        yield list(pool.map(lambda i: _look(split, i), part))


def _look(split: Split, i: int) -> _Seen:
    try:
        image = split.image(i)
        content = split.content(i) if isinstance(split, Stored) else None
    except FileError as error:
        return _Seen(None, "", b"", str(error))
    mode = image.mode if content is None else _stored_mode(content)
    pixels = image.tobytes() if content is None else content
    digest = hashlib.blake2b(pixels, digest_size=16).digest()
    return _Seen((image.height, image.width), mode, digest, "")


def _stored_mode(content: bytes) -> str:
    with Image.open(io.BytesIO(content)) as image:
        return image.mode


def _summary(split: Split, classes: int, seen: list[_Seen]) -> SplitCheck:
    counts = np.bincount(np.asarray(split.labels, np.int64), minlength=classes).tolist()
    sizes = np.array([one.size for one in seen if one.size is not None]).reshape(-1, 2)
    return SplitCheck(
        count=len(seen),
        per_class=counts,
        smallest=_size(np.min, sizes),
        median=_size(np.median, sizes),
        largest=_size(np.max, sizes),
        modes=dict(Counter(one.mode for one in seen if one.size is not None).most_common()),
        bad={split.name(i): one.reason for i, one in enumerate(seen) if one.size is None},
    )


def _size(measure: Callable[..., np.ndarray], sizes: np.ndarray) -> tuple[int, int] | None:
    if not len(sizes):
        return None
    height, width = measure(sizes, axis=0)
    return int(height), int(width)


def _in_several(names: list[str]) -> bool:
    return len({name.partition(":")[0] for name in names}) > 1
