"""The parts of a source: training, validation and test images with their labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from convatlas.data.view import View


@runtime_checkable
class Split(Protocol):
    """Labelled images, by number from 0."""

    @property
    def labels(self) -> list[int]:
        """Every label, in order."""
        ...

    def __len__(self) -> int: ...

    def image(self, i: int) -> Image.Image:
        """Give image `i` in mode "L" or "RGB"."""
        ...

    def label(self, i: int) -> int:
        """Give the class of image `i`."""
        ...

    def name(self, i: int) -> str:
        """Name image `i` so that a person finds it again."""
        ...


@runtime_checkable
class Stored(Protocol):
    """A split whose images are files, or parts of some."""

    def content(self, i: int) -> bytes:
        """Give the bytes of the file of image `i`."""
        ...


@runtime_checkable
class Viewable(Protocol):
    """A split that gives pixels in an array where that is quicker than a picture."""

    def view(self, i: int) -> View:
        """Give image `i`; the values are those of `image`."""
        ...


def view_of(split: Split, i: int) -> View:
    """Give image `i` of a split in the form that is quickest."""
    return split.view(i) if isinstance(split, Viewable) else split.image(i)


@dataclass(frozen=True, eq=False)
class ArraySplit:
    """Images of one size that lie in memory.

    Attributes:
        images: All images of the source, (N, H, W) or (N, H, W, 3), uint8.
        classes: The class of each, (N,).
        indices: Which of them belong to this split, in order.
        noun: What `name` calls one of them.
    """

    images: np.ndarray
    classes: np.ndarray
    indices: np.ndarray
    noun: str

    @property
    def labels(self) -> list[int]:
        """Every label, in order."""
        return self.classes[self.indices].tolist()

    def __len__(self) -> int:
        return len(self.indices)

    def image(self, i: int) -> Image.Image:
        """Give image `i`."""
        return Image.fromarray(self.images[self.indices[i]])

    def label(self, i: int) -> int:
        """Give the class of image `i`."""
        return int(self.classes[self.indices[i]])

    def name(self, i: int) -> str:
        """Give "digit 17": the image's number in the whole source."""
        return f"{self.noun} {self.indices[i]}"


def stratified_order(labels: Sequence[int] | np.ndarray, seed: int) -> np.ndarray:
    """Shuffle, so that every stretch holds the classes in their proportions.

    Any cut of the result into parts is a stratified split: a part's share of a class differs
    from the fair one by about one image.

    Args:
        labels: The class of each image.
        seed: Equal seeds give equal orders.

    Returns:
        A permutation of 0..N-1, (N,).
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    classes = np.asarray(labels)[shuffled]
    place = np.empty(len(labels))  # in 0..1, evenly spread within each class
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(place, kind="stable")]
