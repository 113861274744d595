"""What is done about images that can't be read: they are counted, named and replaced."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import torch

from convatlas.errors import FileError, InputError, first_few

MAX_BAD = 0.01  # of the images of a split, where the caller says nothing
NAMED = 5  # images that the last error names

Tell = Callable[[str, str], None]  # name of an image, why it can't be read

Read = TypeVar("Read")


def keep_silent(name: str, reason: str) -> None:
    """Tell nobody."""


class Tolerant:
    """A split some of whose images can't be read; in the place of such a one stands another one.

    So what an epoch shows depends on the files alone, and not on which process reads them or on
    where a run was taken up again. Which images are bad is known to all processes that read ahead
    for this one; each process of a distributed run counts by itself.

    Attributes:
        split: The images, some of them bad.
        name_of_split: What errors call it, such as "train".
        limit: Greatest fraction of bad images.
        tell: Called once for each bad image, in the process that asks for batches.
    """

    _images = "images"  # what errors call several of them
    _hint = ""  # how to find all that are bad

    def __init__(
        self,
        split: Any,
        limit: float = MAX_BAD,
        name_of_split: str = "",
        tell: Tell = keep_silent,
    ) -> None:
        if not 0 <= limit <= 1:
            raise InputError(f"the limit of bad images goes from 0 to 1 (100 %), not {limit}")
        self.split, self.limit = split, limit
        self.name_of_split, self.tell = name_of_split, tell
        self._bad = torch.zeros(len(split), dtype=torch.uint8).share_memory_()
        self._told: set[int] = set()
        self._begin()

    def _begin(self) -> None:
        """Note what is known of the images from the start."""

    def __getstate__(self) -> dict[str, Any]:
        """Give what a process that reads ahead needs: it tells nobody."""
        return vars(self) | {"tell": keep_silent}

    def __len__(self) -> int:
        return len(self.split)

    def name(self, i: int) -> str:
        """Give the name of image `i`, not of its replacement."""
        return self.split.name(i)

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

    def _first_good(self, candidates: Iterable[int], read: Callable[[int], Read]) -> Read | None:
        """Read the first of these images that can be read; None: none can.

        Raises:
            InputError: More images are bad than the limit allows.
        """
        for candidate in candidates:
            if self._bad[candidate]:
                continue
            try:
                return read(candidate)
            except FileError as error:
                self._bad[candidate] = 1
                self._check_limit(str(error))
        return None

    def _reason(self, i: int) -> str:
        try:
            self._read_again(i)
        except FileError as error:
            return str(error)
        return f"{self.name(i)} could not be read at first, and can now"

    def _read_again(self, i: int) -> object:
        raise NotImplementedError

    def _check_limit(self, reason: str) -> None:
        found = np.flatnonzero(self._bad.numpy())
        if len(found) <= int(self.limit * len(self) + 1e-9):  # 0.29 * 100 is 28.999...
            return
        names = first_few([self.name(i) for i in found.tolist()], NAMED)
        raise InputError(
            f"more {self._images}{self._where()} are bad than the limit of {self.limit:.3g} of "
            f"{len(self)} allows: {names} ({reason}); {self._hint}raise the limit with --max-bad"
        )

    def _where(self) -> str:
        return f" of the {self.name_of_split} split" if self.name_of_split else ""
