"""Splits of which some images can't be read: those are counted, named and replaced."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from PIL import Image

from convatlas.data.splits import ArraySplit, Split, view_of
from convatlas.data.view import View
from convatlas.errors import FileError, InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MAX_BAD = 0.01  # of the images of a split, where the caller says nothing
NAMED = 5  # images that the last error names

Tell = Callable[[str, str], None]  # name of an image, why it can't be read


AnySource = TypeVar("AnySource", bound="DataclassInstance")
Read = TypeVar("Read")


def keep_silent(name: str, reason: str) -> None:
    """Tell nobody."""


class TolerantSplit:
    """A split in whose place of an unreadable image stands another one of the same class.

    It is the next readable one of that class in the order of the split, the first one following
    the last. So what an epoch shows depends on the files alone, and not on which process reads
    them or on where a run was taken up again. Which images are bad is known to all processes
    that read ahead for this one; each process of a distributed run counts by itself.

    Attributes:
        split: The images, some of them bad.
        name_of_split: What errors call it, such as "train".
        limit: Greatest fraction of bad images.
        tell: Called once for each bad image, in the process that asks for batches.
    """

    def __init__(
        self,
        split: Split,
        limit: float = MAX_BAD,
        name_of_split: str = "",
        tell: Tell = keep_silent,
    ) -> None:
        if not 0 <= limit <= 1:
            raise InputError(f"the limit of bad images goes from 0 to 1 (100 %), not {limit}")
        self.split, self.limit = split, limit
        self.name_of_split, self.tell = name_of_split, tell
        self._labels = np.asarray(split.labels)
        self._bad = torch.zeros(len(split), dtype=torch.uint8).share_memory_()
        self._told: set[int] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Give what a process that reads ahead needs: it tells nobody."""
        return vars(self) | {"tell": keep_silent}

    def __len__(self) -> int:
        return len(self.split)

    @property
    def labels(self) -> list[int]:
        """Every label, in order; a replaced image has that of the one in its place."""
        return self.split.labels

    def label(self, i: int) -> int:
        """Give the class of image `i`."""
        return self.split.label(i)

    def name(self, i: int) -> str:
        """Give the name of image `i`, not of its replacement."""
        return self.split.name(i)

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
        for candidate in self._candidates(i):
            if self._bad[candidate]:
                continue
            try:
                return read(candidate)
            except FileError as error:
                self._bad[candidate] = 1
                self._check_limit(error)
        raise InputError(
            f"no image of the class of {self.name(i)} can be read{self._where()}: "
            "nothing can take its place"
        )

    def found_bad(self, indices: np.ndarray) -> np.ndarray:
        """Tell of new bad images, and say which of these, that were just read, are bad."""
        self.report()
        return self._bad.numpy()[indices].astype(bool)

    def report(self) -> None:
        """Tell of the bad images that were found since the last call, in the order of the split."""
        for i in np.flatnonzero(self._bad.numpy()).tolist():
            if i not in self._told:
                self._told.add(i)
                self.tell(self.name(i), self._reason(i))

    def _candidates(self, i: int) -> Iterator[int]:
        yield i
        same = np.flatnonzero(self._labels == self._labels[i])
        place = int(np.searchsorted(same, i))
        yield from np.roll(same, -place)[1:].tolist()

    def _reason(self, i: int) -> str:
        try:
            self.split.image(i)
        except FileError as error:
            return str(error)
        return f"{self.name(i)} could not be read at first, and can now"

    def _check_limit(self, error: FileError) -> None:
        found = np.flatnonzero(self._bad.numpy())
        if len(found) <= int(self.limit * len(self) + 1e-9):  # 0.29 * 100 is 28.999...
            return
        names = ", ".join(self.name(i) for i in found[:NAMED].tolist())
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise InputError(
            f"more images{self._where()} are bad than the limit of {self.limit:.3g} of "
            f"{len(self)} allows: {names}{more} ({error}); see `convatlas data check`, or raise "
            "the limit with --max-bad"
        ) from error

    def _where(self) -> str:
        return f" of the {self.name_of_split} split" if self.name_of_split else ""


def tolerant(source: AnySource, limit: float = MAX_BAD, tell: Tell = keep_silent) -> AnySource:
    """Give the source with splits that replace bad images.

    Those in memory, and those that are no `Split`, stay as they are.

    Args:
        source: `train`, `val` and `test` of a dataclass.
        limit: Greatest fraction of bad images, of each split by itself.
        tell: Called once for each bad image with its name and what is wrong with it.

    Raises:
        InputError: The limit is not in 0..1.
    """
    return replace(
        source,
        **{
            name: TolerantSplit(split, limit, name, tell)
            for name in ("train", "val", "test")
            for split in (getattr(source, name),)
            if isinstance(split, Split) and not isinstance(split, ArraySplit)
        },
    )
