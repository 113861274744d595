"""Batches whose bytes depend on the seed, the epoch and the split alone.

Not on the number of workers, nor on where a resumed epoch begins: the order is drawn from
(seed, epoch), and each image's augmentation from (seed, epoch, index).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from convatlas.data.augment import Augmentation, PadCrop, Resize
from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import ArraySplit, Split
from convatlas.data.workers import fetch
from convatlas.errors import InputError

CACHE_BYTES = 256 * 2**20  # most that the resized images of one split may take

_ORDER, _CHANGE = 0, 1  # first words of the two kinds of seeds, so that no two are equal


class Batch(NamedTuple):
    """Images with their labels.

    Attributes:
        images: (N, C, H, W), float32, preprocessed.
        labels: (N,), int64.
        indices: Which images of the split these are, (N,), int64.
        weights: Of each pixel in the loss, (N, H, W), float32, where each has a label; else None.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    weights: Tensor | None = None


class _Resized:
    """The images of a split in the network's size, each resized when it is first asked for."""

    def __init__(self, split: ArraySplit, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self.pixels = np.empty((len(split), *_shape(preprocessing)), np.uint8)
        self.known = np.zeros(len(split), bool)


_resized: WeakKeyDictionary[ArraySplit, _Resized] = WeakKeyDictionary()


class _Reader:
    """Reads, changes and resizes the images of some indices; runs here or in a worker."""

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

    def __call__(self, indices: np.ndarray) -> Tensor:
        """Give the pixels (N, H, W, C), uint8, of these images."""
        pixels = np.empty((len(indices), *_shape(self.preprocessing)), np.uint8)
        for row, index in zip(pixels, indices.tolist(), strict=True):
            row[:] = self._changed(index) if self.augment else self._resized(index)
        return torch.from_numpy(pixels)

    def _changed(self, index: int) -> np.ndarray:
        size = self.preprocessing.size
        first = self.augment[0]
        if first == Resize() or isinstance(first, PadCrop):  # they begin at the network's size
            image = _picture(self._resized(index))
        else:
            image = self.split.image(index).convert(self.preprocessing.mode)
        rng = np.random.default_rng([_CHANGE, self.seed, self.epoch, index])
        for change in self.augment:
            image = change(image, size, rng)
        if (image.height, image.width) != size:
            image = self.preprocessing.resized(image)
        return _pixels(image)

    def _resized(self, index: int) -> np.ndarray:
        cache = _cache(self.split, self.preprocessing)
        if cache is None:
            return _pixels(self.preprocessing.resized(self.split.image(index)))
        if not cache.known[index]:
            cache.pixels[index] = _pixels(self.preprocessing.resized(self.split.image(index)))
            cache.known[index] = True
        return cache.pixels[index]


def num_batches(split: Split, batch_size: int) -> int:
    """Count the batches of an epoch; the last one may be smaller."""
    return -(-len(split) // batch_size)


def batches(
    split: Split,
    preprocessing: Preprocessing,
    batch_size: int,
    *,
    augment: Sequence[Augmentation] = (),
    seed: int = 0,
    epoch: int = 0,
    start: int = 0,
    shuffle: bool = False,
    workers: int = 0,
) -> Iterator[Batch]:
    """Go through a split once.

    Args:
        split: Images and labels.
        preprocessing: What the network takes.
        batch_size: Images a batch; the last one may be smaller.
        augment: Changes of each image, in this order; a first `Resize()` or `PadCrop` begins with
            what the preprocessing makes of the image.
        seed: Of the order and of the changes, together with `epoch`.
        epoch: Another one gives another order and other changes.
        start: Skip this many batches; their images are not even read.
        shuffle: In random order; otherwise in that of the split.
        workers: Processes that read ahead; 0: read here. The bytes are the same.

    Returns:
        The batches that follow, read as they are asked for.

    Raises:
        InputError: A number is out of range, or a worker was killed.
        FileError: An image can't be read.
    """
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
        ("epoch", epoch, 0),
        ("start", start, 0),
        ("workers", workers, 0),
    ):
        if value < least:
            raise InputError(f"{name} must be at least {least}, not {value}")
    order = np.arange(len(split))
    if shuffle:
        order = np.random.default_rng([_ORDER, seed, epoch]).permutation(len(split))
    chunks = [order[i : i + batch_size] for i in range(start * batch_size, len(order), batch_size)]
    reader = _Reader(split, preprocessing, augment, seed, epoch)
    return _finished(reader, chunks, workers)


def _finished(reader: _Reader, chunks: list[np.ndarray], workers: int) -> Iterator[Batch]:
    labels = torch.tensor(reader.split.labels, dtype=torch.int64)
    results = fetch(reader, chunks, workers) if workers else map(reader, chunks)
    for chunk, pixels in zip(chunks, results, strict=True):
        indices = torch.from_numpy(chunk)
        yield Batch(reader.preprocessing.normalized(pixels.numpy()), labels[indices], indices)


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


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).reshape(image.height, image.width, -1)


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
