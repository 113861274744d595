"""Batches whose bytes depend on the seed, the epoch and the split alone.

Not on the number of workers, nor on where a resumed epoch begins: the order is drawn from
(seed, epoch), and each image's augmentation from (seed, epoch, index).
"""

from collections.abc import Iterator, Sequence, Sized
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from convatlas.data.augment import Augmentation
from convatlas.data.order import balanced, in_order, shuffled
from convatlas.data.preprocess import Preprocessing
from convatlas.data.reader import Reader
from convatlas.data.splits import Split
from convatlas.data.tolerant import TolerantSplit
from convatlas.data.workers import fetch
from convatlas.errors import InputError, UserError, first_few

_HERE = torch.device("cpu")


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


def num_batches(split: Sized, batch_size: int) -> int:
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
    balance: bool = False,
    workers: int = 0,
    part: tuple[int, int] = (0, 1),
    device: torch.device | None = None,
) -> Iterator[Batch]:
    """Go through a split once.

    Of a `TolerantSplit`, bad images are replaced where the order is random, as in training, and
    left out where it is that of the split, as in an evaluation: no image counts twice.

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
        balance: Instead, draw the classes equally often, with replacement; an image that comes
            again is changed in another way.
        workers: Processes that read ahead; 0: read here. The bytes are the same.
        part: (1, 4): of each batch only the second of four parts, see `part_of`; it may be empty
            in the last batch.
        device: Where images become floating-point numbers, and stay; labels don't go there. None:
            the processor. Only bytes travel, and the values are the same.

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
    if balance:
        order = balanced(split.labels, seed, epoch)
    elif shuffle:
        order = shuffled(len(split), seed, epoch)
    else:
        order = in_order(len(split))
    starts = range(start * batch_size, order.shape[1], batch_size)
    parts = [part_of(order[:, i : i + batch_size], *part) for i in starts]
    reader = Reader(split, preprocessing, augment, seed, epoch)
    found = _finished(reader, parts, workers, device or _HERE)
    if isinstance(split, TolerantSplit):
        return _reported(found, split, whole=shuffle or balance)
    return found


def part_of(batch: np.ndarray, number: int, parts: int) -> np.ndarray:
    """Give one of several parts of a batch, for processes that share the work.

    Together they are the batch, in its order; their sizes differ by at most one, larger ones first.

    Args:
        batch: What is in it, along the last axis.
        number: 0 <= number < parts.
        parts: How many there are.

    Raises:
        InputError: There is no such part.
    """
    if not 0 <= number < parts:
        raise InputError(f"there is no part {number} of {parts}")
    return np.array_split(batch, parts, axis=-1)[number]


def _named(split: Split, part: np.ndarray) -> str:
    return first_few([split.name(i) for i in part[0].tolist()])


def _finished(
    reader: Reader, parts: list[np.ndarray], workers: int, device: torch.device
) -> Iterator[Batch]:
    labels = torch.tensor(reader.split.labels, dtype=torch.int64)
    named = partial(_named, reader.split)
    results = fetch(reader, parts, workers, named) if workers else map(reader, parts)
    for (indices, _), pixels in zip(parts, results, strict=True):
        which = torch.from_numpy(indices.copy())
        if device.type == "cpu":
            images = reader.preprocessing.normalized(pixels.numpy())
        else:
            images = reader.preprocessing.normalized_on(pixels, device)
        yield Batch(images, labels[which], which)


def _reported(found: Iterator[Batch], split: TolerantSplit, whole: bool) -> Iterator[Batch]:
    """Tell of bad images as they are found; leave out what replaces them if not `whole`."""
    try:
        for batch in found:
            good = torch.from_numpy(~split.found_bad(batch.indices.numpy()))
            if whole or good.all():
                yield batch
            elif good.any():
                yield Batch(batch.images[good], batch.labels[good], batch.indices[good])
    except UserError:
        split.report()  # those that were found on the way to the error
        raise
