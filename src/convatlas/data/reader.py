"""Reads images, changes them and brings them to the network's size; here or in a worker."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from convatlas.data.augment import Augmentation, PadCrop, Resize, ViewChange
from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import ArraySplit, Split, view_of
from convatlas.data.view import View, as_picture, as_pixels, size_of

CACHE_BYTES = 256 * 2**20  # most that the resized images of one split may take

_CHANGE = 1  # first word of the seeds of changes; no other seeds begin so


class _Resized:
    """The images of a split in the network's size, each resized when it is first asked for.

    Those that need no resizing are there at once.
    """

    def __init__(self, split: ArraySplit, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        found = preprocessing.as_they_are(split.images[split.indices])
        self.known = np.full(len(split), found is not None)
        if found is None:
            found = np.empty((len(split), *_shape(preprocessing)), np.uint8)
        self.pixels = found


_resized: WeakKeyDictionary[ArraySplit, _Resized] = WeakKeyDictionary()


class Reader:
    """Reads the images of a part of an order.

    Attributes:
        split: Images.
        preprocessing: What the network takes.
        augment: Changes of each image, in this order.
        seed: Of the changes, together with `epoch`, the image and how often it has come before.
        epoch: Another one gives other changes.
    """

    def __init__(
        self,
        split: Split,
        preprocessing: Preprocessing,
        augment: Sequence[Augmentation],
        seed: int,
        epoch: int,
    ) -> None:
        self.split, self.preprocessing, self.augment = split, preprocessing, tuple(augment)
        self.seed, self.epoch = seed, epoch
        if self._begins_brought:
            _cache(split, preprocessing)  # here, for what a worker keeps goes with it

    def __call__(self, part: np.ndarray) -> Tensor:
        """Give the pixels (N, H, W, C), uint8, of a part (2, N) of an order."""
        pixels = np.empty((part.shape[1], *_shape(self.preprocessing)), np.uint8)
        for row, (index, repeat) in zip(pixels, part.T.tolist(), strict=True):
            row[:] = self._changed(index, repeat) if self.augment else self._brought(index)
        return torch.from_numpy(pixels)

    @property
    def _begins_brought(self) -> bool:
        """Whether all begins with what the preprocessing makes of an image."""
        return (
            not self.augment or self.augment[0] == Resize() or isinstance(self.augment[0], PadCrop)
        )

    def _changed(self, index: int, repeat: int) -> np.ndarray:
        size = self.preprocessing.size
        view = self._first(index)
        chance = [_CHANGE, self.seed, self.epoch, index, *([repeat] if repeat else [])]
        rng = np.random.default_rng(chance)
        for change in self.augment:
            if isinstance(change, ViewChange):
                view = change.on_view(view, size, rng)
            else:
                view = change(as_picture(view), size, rng)
        return as_pixels(view) if size_of(view) == size else self.preprocessing.pixels(view)

    def _first(self, index: int) -> View:
        """Give what the first change is to see."""
        if self._begins_brought:
            return self._brought(index)
        pixels_will_do = isinstance(self.augment[0], ViewChange)
        view = view_of(self.split, index) if pixels_will_do else self.split.image(index)
        return self.preprocessing.coloured(view)

    def _brought(self, index: int) -> np.ndarray:
        cache = _cache(self.split, self.preprocessing)
        if cache is None:
            return self.preprocessing.pixels(view_of(self.split, index))
        if not cache.known[index]:
            cache.pixels[index] = self.preprocessing.pixels(self.split.image(index))
            cache.known[index] = True
        return cache.pixels[index]


def _cache(split: Split, preprocessing: Preprocessing) -> _Resized | None:
    if not isinstance(split, ArraySplit):
        return None
    cache = _resized.get(split)
    if cache is None or cache.preprocessing != preprocessing:
        if len(split) * np.prod(_shape(preprocessing)) > CACHE_BYTES:
            return None
        cache = _resized[split] = _Resized(split, preprocessing)
    return cache


def _shape(preprocessing: Preprocessing) -> tuple[int, int, int]:
    return (*preprocessing.size, len(preprocessing.mean))
