"""Splits of which some images can't be read: another image stands in the place of each."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from convatlas.data.segmentation import SegmentationSplit
from convatlas.data.splits import ArraySplit, Split, view_of
from convatlas.data.tolerance import MAX_BAD, Read, Tell, Tolerant, keep_silent
from convatlas.data.view import View
from convatlas.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

AnySource = TypeVar("AnySource", bound="DataclassInstance")


class TolerantSplit(Tolerant):
    """Labelled images, see `Tolerant`: the next readable one of the same class takes the place.

    The next one in the order of the split, the first one following the last.
    """

    _hint = "see `convatlas data check`, or "

    split: Split

    def _begin(self) -> None:
        self._labels = np.asarray(self.split.labels)

    @property
    def labels(self) -> list[int]:
        """Every label, in order; a replaced image has that of the one in its place."""
        return self.split.labels

    def label(self, i: int) -> int:
        """Give the class of image `i`."""
        return self.split.label(i)

    def image(self, i: int) -> Image.Image:
        """Read image `i`, or the one that stands in its place.

        Raises:
            InputError: More images are bad than the limit allows, or all of a class.
        """
        return self._read(i, self.split.image)

    def view(self, i: int) -> View:
        """Read image `i` as `image` does, in the form that is quickest."""
        return self._read(i, partial(view_of, self.split))

    def _read(self, i: int, read: Callable[[int], Read]) -> Read:
        found = self._first_good(self._candidates(i), read)
        if found is None:
            raise InputError(
                f"no image of the class of {self.name(i)} can be read{self._where()}: "
                "nothing can take its place"
            )
        return found

    def _candidates(self, i: int) -> Iterator[int]:
        yield i
        same = np.flatnonzero(self._labels == self._labels[i])
        place = int(np.searchsorted(same, i))
        yield from np.roll(same, -place)[1:].tolist()

    def _read_again(self, i: int) -> object:
        return self.split.image(i)


class TolerantPairs(Tolerant):
    """Images and masks, see `Tolerant`: a pair is bad if one is, or if their sizes differ.

    The next readable pair in the order of the split takes its place, the first one following the
    last. What is known to be bad from the start counts from the start.

    Raises:
        InputError: More pairs are known to be bad than the limit allows.
    """

    _images = "images with masks"

    split: SegmentationSplit

    def _begin(self) -> None:
        problems = {i: pair.problem for i, pair in enumerate(self.split.pairs) if pair.problem}
        if problems:
            self._bad[list(problems)] = 1
            self._check_limit(next(iter(problems.values())))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, by the values of the masks."""
        return self.split.classes

    def pair(self, i: int) -> tuple[Image.Image, np.ndarray]:
        """Read image `i` and its mask, or those that stand in their place.

        Raises:
            InputError: More pairs are bad than the limit allows, or all.
        """
        order = (*range(i, len(self)), *range(i))
        found = self._first_good(order, self.split.pair)
        if found is None:
            raise InputError(f"no image with a mask can be read{self._where()}")
        return found

    def own_pair(self, i: int) -> tuple[Image.Image, np.ndarray] | None:
        """Read image `i` and its mask; None: they are bad.

        Raises:
            InputError: More pairs are bad than the limit allows.
        """
        return self._first_good([i], self.split.pair)

    def _read_again(self, i: int) -> object:
        return self.split.pair(i)


Pairs = SegmentationSplit | TolerantPairs


def tolerant(source: AnySource, limit: float = MAX_BAD, tell: Tell = keep_silent) -> AnySource:
    """Give the source with splits that replace bad images; those in memory stay as they are.

    Args:
        source: `train`, `val` and `test` of a dataclass.
        limit: Greatest fraction of bad images, of each split by itself.
        tell: Called once for each bad image with its name and what is wrong with it.

    Raises:
        InputError: The limit is not in 0..1; or more is known to be bad than it allows.
    """
    found = {}
    for name in ("train", "val", "test"):
        split = getattr(source, name)
        if isinstance(split, SegmentationSplit):
            found[name] = TolerantPairs(split, limit, name, tell)
        elif not isinstance(split, ArraySplit):
            found[name] = TolerantSplit(split, limit, name, tell)
    return replace(source, **found)
