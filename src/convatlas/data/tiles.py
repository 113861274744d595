"""Tiles of images with the classes and the weights of their pixels, for training.

As with whole images, the order depends on (seed, epoch) alone and each tile on (seed, epoch,
index): never on the number of workers or on where a resumed epoch begins.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from convatlas.data.augment import Augmentation
from convatlas.data.borders import border_weights
from convatlas.data.elastic import Colouring, Movement, places
from convatlas.data.loader import Batch, part_of
from convatlas.data.masks import IGNORED
from convatlas.data.mirror import bilinear, nearest, window
from convatlas.data.preprocess import Preprocessing
from convatlas.data.segmentation import SegmentationSplit
from convatlas.data.tolerant import Pairs, TolerantPairs
from convatlas.data.workers import fetch
from convatlas.errors import FileError, InputError, UserError

KEPT_BYTES = 256 * 2**20  # most that the images and masks of a split may take in memory
UNLABELLED = -100  # what torch's losses pass over

_ORDER, _CHANGE = 2, 3  # first words of the seeds; those of whole images are 0 and 1


@dataclass(frozen=True, slots=True)
class PixelWeights:
    """How much each pixel counts in the loss (Ronneberger et al. 2015, equation 2).

    Attributes:
        classes: w_c, of each class; None: all 1.
        w0: Of the border term; 0: there is none.
        sigma: Its reach in pixels.
    """

    classes: tuple[float, ...] | None = None
    w0: float = 0.0
    sigma: float = 5.0

    def border_term(self, mask: np.ndarray) -> np.ndarray:
        """Give the border term of a whole mask, (H, W), float32."""
        if not self.w0:
            return np.broadcast_to(np.float32(0), mask.shape)  # takes no memory
        return border_weights(np.where(mask == IGNORED, 0, mask), self.w0, self.sigma)

    def combined(self, mask: np.ndarray, border: np.ndarray) -> np.ndarray:
        """Give the weight of each pixel of a tile, (h, w), float32; 0 where no class is known."""
        table = np.zeros(256, np.float32)
        table[:IGNORED] = 1.0
        if self.classes is not None:
            table[: len(self.classes)] = self.classes
        return table[mask] + border * (mask != IGNORED)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """What of an image is the same in every epoch."""

    pixels: np.ndarray  # (H, W, C), uint8
    mask: np.ndarray
    border: np.ndarray  # the border term of each pixel, float32


_prepared: WeakKeyDictionary[Pairs, dict[tuple, _Prepared]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class TileReader:
    """Cuts a tile at random out of each image and changes it; runs here or in a worker.

    Attributes:
        split: Images and masks.
        preprocessing: Of the network; its size is that of a tile.
        border: Pixels at each side of a tile for which the network gives no class.
        augment: Movements (of image and mask) and colourings (of the image), such as
            `convatlas.data.elastic.Deform` and `Greys`.
        weights: Of pixels.
        seed: With `epoch` and the index of an image, all of its chance.
        epoch: See `seed`.
    """

    split: Pairs
    preprocessing: Preprocessing
    border: int
    augment: tuple[Augmentation, ...] = ()
    weights: PixelWeights = PixelWeights()
    seed: int = 0
    epoch: int = 0

    def __call__(self, indices: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Give pixels (N, H, W, C), uint8; classes (N, h, w), uint8; weights (N, h, w)."""
        if not len(indices):
            return self._none()
        tiles = zip(*(self._tile(index) for index in indices.tolist()), strict=True)
        pixels, masks, weights = (torch.from_numpy(np.stack(part)) for part in tiles)
        return pixels, masks, weights

    def _none(self) -> tuple[Tensor, Tensor, Tensor]:
        """Give what no tiles are: for a process whose part of a batch is empty."""
        height, width = self.preprocessing.size
        inner = (0, height - 2 * self.border, width - 2 * self.border)
        pixels = torch.empty(0, height, width, len(self.preprocessing.mean), dtype=torch.uint8)
        return pixels, torch.empty(inner, dtype=torch.uint8), torch.empty(inner)

    def _tile(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng([_CHANGE, self.seed, self.epoch, index])
        pixels, mask, border = self._cut(self._whole(index), rng)
        for change in self.augment:
            if isinstance(change, Colouring):
                pixels = change.coloured(pixels, rng)
        pixels = pixels.round().clip(0, 255).astype(np.uint8)
        return pixels, mask, self.weights.combined(mask, border)

    def _cut(
        self, whole: _Prepared, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read a tile, where `augment` moves its pixels to; mask and border term without rim."""
        (height, width), rim = self.preprocessing.size, self.border
        top, left = (
            _place(rng, size, part - 2 * rim) - rim
            for size, part in zip(whole.mask.shape, (height, width), strict=True)
        )
        moves = [change for change in self.augment if isinstance(change, Movement)]
        if not moves:
            pixels = window(whole.pixels, top, left, height, width).astype(np.float32)
            inner = (top + rim, left + rim, height - 2 * rim, width - 2 * rim)
            return pixels, window(whole.mask, *inner), window(whole.border, *inner)
        rows, columns = places(height, width)
        for move in moves:
            rows, columns = move.moved(rows, columns, rng)
        rows, columns = rows + (top + (height - 1) / 2), columns + (left + (width - 1) / 2)
        middle = slice(rim, height - rim), slice(rim, width - rim)
        mask, border = (
            nearest(layer, rows[middle], columns[middle]) for layer in (whole.mask, whole.border)
        )
        return bilinear(whole.pixels, rows, columns), mask, border

    def _whole(self, index: int) -> _Prepared:
        kept = _prepared.setdefault(self.split, {})
        key = (index, self.preprocessing.mode, self.weights.w0, self.weights.sigma)
        if key not in kept:
            image, mask = self.split.pair(index)
            pixels = np.asarray(image.convert(self.preprocessing.mode))
            pixels = pixels.reshape(*mask.shape, -1)
            prepared = _Prepared(pixels, mask, self.weights.border_term(mask))
            size = pixels.nbytes + mask.nbytes + (prepared.border.nbytes if self.weights.w0 else 0)
            if len(self.split) * size > KEPT_BYTES:
                return prepared
            kept[key] = prepared
        return kept[key]


def tile_batches(
    reader: TileReader,
    batch_size: int,
    *,
    start: int = 0,
    workers: int = 0,
    part: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Go through a split once, in random order: one tile of each image.

    Of `TolerantPairs`, bad ones are replaced.

    Args:
        reader: Makes the tiles; its seed and epoch decide the order too.
        batch_size: Tiles a batch; the last one may be smaller.
        start: Skip this many batches.
        workers: Processes that read ahead; 0: read here. The bytes are the same.
        part: (1, 4): of each batch only the second of four parts; it may be empty in the last.

    Returns:
        Batches whose labels and weights are (N, h, w); `UNLABELLED` where no class is known.

    Raises:
        InputError: An augmentation changes whole images alone.
        FileError: An image or a mask can't be read.
    """
    check_changes(reader.augment)
    count = len(reader.split)
    order = np.random.default_rng([_ORDER, reader.seed, reader.epoch]).permutation(count)
    starts = range(start * batch_size, count, batch_size)
    chunks = [part_of(order[i : i + batch_size], *part) for i in starts]
    found = _finished(reader, chunks, workers)
    return _reported(found, reader.split) if isinstance(reader.split, TolerantPairs) else found


def check_changes(augment: Sequence[Augmentation]) -> None:
    """Refuse augmentations that would change an image and leave its mask as it is.

    Raises:
        InputError: One does.
    """
    for change in augment:
        if not isinstance(change, Movement | Colouring):
            raise InputError(
                f"{change!r} changes an image without its mask; segmentation takes Deform and Greys"
            )


def class_weights(split: SegmentationSplit) -> tuple[float, ...]:
    """Weigh each class by the inverse of its share of pixels, so that the mean pixel counts 1.

    A class without pixels gets 0. Masks that can't be read count nothing: who trains on them is
    told of them.

    Raises:
        FileError: Of no mask a pixel has a class.
    """
    counts = np.zeros(256)
    for i in range(len(split)):
        with contextlib.suppress(FileError):
            counts += np.bincount(split.mask(i).ravel(), minlength=256)
    counts = counts[: len(split.classes)]
    if not counts.any():
        raise FileError(f"no mask has a pixel of a class: {split.pairs[0].mask} and others")
    present = counts > 0
    weights = counts.sum() / (present.sum() * np.where(present, counts, np.inf))
    return tuple(weights.tolist())


def _finished(reader: TileReader, chunks: list[np.ndarray], workers: int) -> Iterator[Batch]:
    results = fetch(reader, chunks, workers) if workers else map(reader, chunks)
    for chunk, (pixels, masks, weights) in zip(chunks, results, strict=True):
        labels = masks.long().masked_fill(masks == IGNORED, UNLABELLED)
        images = reader.preprocessing.normalized(pixels.numpy())
        yield Batch(images, labels, torch.from_numpy(chunk), weights)


def _reported(found: Iterator[Batch], split: TolerantPairs) -> Iterator[Batch]:
    """Tell of bad pairs as they are found."""
    try:
        for batch in found:
            split.report()
            yield batch
    except UserError:
        split.report()  # those that were found on the way to the error
        raise


def _place(rng: np.random.Generator, size: int, part: int) -> int:
    """Draw where a part of a line begins; a part that is longer is laid about its middle."""
    return int(rng.integers(size - part, endpoint=True)) if size > part else (size - part) // 2
