"""The images of studies: some of a data set, alike for each case, in memory if they fit."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convatlas.data.card import DataCard, Source
from convatlas.data.manifest import fingerprint
from convatlas.data.preprocess import MODES
from convatlas.data.sources import open_source
from convatlas.data.splits import ArraySplit, Split
from convatlas.errors import InputError

TOO_LARGE = ("imagenet",)  # sources that stay in their files, all of them


@dataclass(frozen=True, slots=True)
class Subset:
    """Which images a case learns from and is tested on.

    Attributes:
        source: A source that the study names, such as "cifar10".
        train: The first so many training images of each class; None: all.
        val: Likewise, of those that are watched after each epoch.
        test: Likewise, of those that are read once, at the end.
        side: Height and width in pixels that images are brought to; None: as they are.

    Of the sources `TOO_LARGE` all images are taken, which are read when they are needed and brought
    to the size by the recipe.
    """

    source: str = "cifar10"
    train: int | None = 500
    val: int | None = 20
    test: int | None = None
    side: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON takes them."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Choice:
    """Where images are read from.

    Attributes:
        root: Where the files of sources lie; None: the cache.
        instead: Source that a study names -> source that is read in its place.
    """

    root: Path | None = None
    instead: Mapping[str, str] = field(default_factory=dict)

    def text(self, source: str) -> str:
        """Give what is read where a study names `source`."""
        return self.instead.get(source, source)

    def open(self, source: str, **options: Any) -> Source:
        """Open it; errors are those of `convatlas.data.sources.open_source`."""
        return open_source(self.text(source), root=self.root, **options)

    def describe(self, source: str) -> dict[str, Any]:
        """Say what is read, and whether it stands in for what the study names."""
        opened = self.open(source)
        splits = {"train": opened.train, "val": opened.val, "test": opened.test}
        return {
            "named": source,
            "read": self.text(source),
            "stands_in": self.text(source) != source,
            "manifest": {name: fingerprint(split) for name, split in splits.items()},
        }


AS_NAMED = Choice()


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images of a subset with what is known of them."""

    card: DataCard
    train: ArraySplit
    val: ArraySplit
    test: ArraySplit


def load_source(subset: Subset, choice: Choice) -> Pictures | Source:
    """Read a subset into memory, or open what is too large for it; errors as `load_pictures`."""
    if subset.source not in TOO_LARGE:
        return load_pictures(subset, choice)
    source = choice.open(subset.source)
    size = (subset.side, subset.side) if subset.side else source.card.image_size
    return replace(source, card=replace(source.card, image_size=size))


def load_pictures(subset: Subset, choice: Choice) -> Pictures:
    """Read a subset into memory; a process keeps what it has read.

    Raises:
        InputError: A class has too few images.
        FileError: They can't be read.
    """
    return _loaded(subset, choice.text(subset.source), choice.root)


@cache
def _loaded(subset: Subset, text: str, root: Path | None) -> Pictures:
    source = open_source(text, root=root)
    side = (subset.side, subset.side) if subset.side else source.card.image_size
    if side is None:
        side = source.train.image(0).size[::-1]
    card = replace(source.card, image_size=side)
    return Pictures(
        card,
        _taken(source.train, card, subset.train, "training"),
        _taken(source.val, card, subset.val, "validation"),
        _taken(source.test, card, subset.test, "test"),
    )


def _taken(split: Split, card: DataCard, count: int | None, kind: str) -> ArraySplit:
    """Read the first `count` images of each class, in the order of the split."""
    labels = np.asarray(split.labels)
    chosen = np.arange(len(labels))
    if count is not None:
        members = [np.flatnonzero(labels == label)[:count] for label in range(len(card.classes))]
        least = min(map(len, members))
        if least < count:
            raise InputError(
                f"a study takes {count} {kind} images of each class; there are only {least}"
            )
        chosen = np.sort(np.concatenate(members))
    images = np.stack([_pixels(split.image(i), card) for i in chosen.tolist()])
    return ArraySplit(images, labels[chosen], np.arange(len(chosen)), f"{kind} image")


def _pixels(image: Image.Image, card: DataCard) -> np.ndarray:
    """Give the pixels in the card's size; a smaller image is the mean of a larger one's areas."""
    height, width = card.image_size or image.size[::-1]
    image = image.convert(MODES[card.channels])
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BOX)
    return np.asarray(image)
