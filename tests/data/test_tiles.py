"""Tiles for training: where they come from, what they weigh, and that they come again."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.data.augment import Flip
from convatlas.data.borders import border_weights
from convatlas.data.elastic import Deform, Greys
from convatlas.data.masks import IGNORED
from convatlas.data.preprocess import Preprocessing
from convatlas.data.segmentation import Pair, SegmentationSplit
from convatlas.data.tiles import (
    UNLABELLED,
    PixelWeights,
    TileReader,
    class_weights,
    tile_batches,
)
from convatlas.errors import FileError, InputError

CLASSES = ("ground", "cell")


@pytest.fixture
def split(tmp_path):
    """Five images of 40x50 whose mask is where they are bright."""
    pairs = []
    for i in range(5):
        values = np.random.default_rng(i).integers(0, 100, (40, 50), dtype=np.uint8)
        mask = np.zeros((40, 50), np.uint8)
        mask[5 + i : 20, 8:30] = 1
        mask[25:35, 20:45] = 1
        pairs.append(save(tmp_path, str(i), values + 100 * mask, 255 * mask))
    return SegmentationSplit(pairs, CLASSES)


def save(folder: Path, name: str, values, mask):
    files = folder / f"{name}.png", folder / f"{name}-mask.png"
    for file, array in zip(files, (values, mask), strict=True):
        Image.fromarray(array).save(file)
    return Pair(*files, 0, name)


def reader(split, size=32, border=0, **options):
    return TileReader(split, Preprocessing((size, size), (0.0,), (1.0,)), border, **options)


def all_of(batches):
    return [tuple(part.numpy() for part in batch) for batch in batches]


def same(one, two):
    return len(one) == len(two) and all(
        np.array_equal(a, b)
        for x, y in zip(one, two, strict=True)
        for a, b in zip(x, y, strict=True)
    )


def test_an_epoch_shows_a_tile_of_each_image(split):
    batches = all_of(tile_batches(reader(split), 2))
    assert [images.shape for images, *_ in batches] == [(2, 1, 32, 32)] * 2 + [(1, 1, 32, 32)]
    assert [labels.shape for _, labels, *_ in batches] == [(2, 32, 32)] * 2 + [(1, 32, 32)]
    assert sorted(np.concatenate([indices for _, _, indices, _ in batches])) == list(range(5))


def test_labels_are_those_of_the_pixels(split):
    for images, labels, *_ in all_of(tile_batches(reader(split), 5)):
        assert np.array_equal(labels == 1, images[:, 0] * 255 > 99.5)
    moved = (Deform(std=3.0, degrees=30.0),)
    for images, labels, *_ in all_of(tile_batches(reader(split, augment=moved), 5)):
        wrong = (labels == 1) != (images[:, 0] * 255 > 99.5)
        assert wrong.mean() < 0.08  # at edges, where two pixels are mixed


def test_the_labels_of_unpadded_networks_lack_the_border(split):
    images, labels, _, weights = next(iter(tile_batches(reader(split, 32, 8), 1)))
    assert (images.shape, labels.shape, weights.shape) == (
        (1, 1, 32, 32),
        (1, 16, 16),
        (1, 16, 16),
    )
    bright = images[0, 0, 8:-8, 8:-8].numpy() * 255
    assert np.array_equal(labels[0].numpy() == 1, bright >= 100)


def test_a_tile_larger_than_the_image_is_mirrored(split):
    images, labels, indices, _ = next(iter(tile_batches(reader(split, 80), 1)))
    image, mask = split.pair(int(indices[0]))
    rows, columns = (80 - 40) // 2, (80 - 50) // 2
    pad = ((rows, rows), (columns, columns))
    assert np.array_equal(labels[0].numpy(), np.pad(mask, pad, mode="reflect"))
    wanted = np.pad(np.asarray(image), pad, mode="reflect") / np.float32(255)
    assert images[0, 0].numpy() == pytest.approx(wanted)


def test_the_same_seed_epoch_and_index_give_the_same_tile(split):
    options = {"augment": (Deform(), Greys()), "weights": PixelWeights(w0=10.0)}
    first = all_of(tile_batches(reader(split, **options), 2))
    assert same(first, all_of(tile_batches(reader(split, **options), 2)))
    assert same(first[1:], all_of(tile_batches(reader(split, **options), 2, start=1)))
    assert same(first, all_of(tile_batches(reader(split, **options), 2, workers=2)))
    for other in ({"seed": 1}, {"epoch": 1}):
        assert not same(first, all_of(tile_batches(reader(split, **options, **other), 2)))


def test_weights_are_the_class_weight_and_the_border_term(split):
    weights = PixelWeights((0.5, 2.0), w0=10.0)
    mask = split.mask(0)
    whole = next(iter(tile_batches(reader(split, 16, weights=weights), 5)))
    assert float(whole.weights.min()) >= 0.5
    combined = weights.combined(mask, weights.border_term(mask))
    assert combined == pytest.approx(np.where(mask == 1, 2.0, 0.5) + border_weights(mask))


def test_pixels_without_a_class_have_no_weight_and_no_label(tmp_path):
    mask = np.array([[0, 1, 255]] * 3, np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    split = SegmentationSplit([save(tmp_path, "x", mask // 2, mask)], CLASSES)
    batch = next(iter(tile_batches(reader(split, 48, weights=PixelWeights(w0=10.0)), 1)))
    unknown = mask == IGNORED
    assert np.array_equal(batch.labels[0].numpy() == UNLABELLED, unknown)
    assert np.array_equal(batch.weights[0].numpy() == 0, unknown)


def test_class_weights_balance_the_pixels(split):
    counts = np.bincount(np.concatenate([split.mask(i).ravel() for i in range(5)]))
    weights = np.array(class_weights(split))
    assert weights @ counts == pytest.approx(counts.sum())
    assert weights[0] * counts[0] == pytest.approx(weights[1] * counts[1])


def test_colours_are_brought_to_the_channels_of_the_network(tmp_path):
    values = np.zeros((20, 20, 3), np.uint8)
    values[..., 0] = 200
    split = SegmentationSplit([save(tmp_path, "x", values, np.eye(20, dtype=np.uint8))], CLASSES)
    three = TileReader(split, Preprocessing((16, 16), (0.0,) * 3, (1.0,) * 3), 0)
    assert next(iter(tile_batches(three, 1))).images[0, :, 0, 0] * 255 == pytest.approx([200, 0, 0])
    assert next(iter(tile_batches(reader(split, 16), 1))).images.shape == (1, 1, 16, 16)


def test_what_changes_images_alone_is_refused(split):
    with pytest.raises(InputError, match=r"Flip\(\) changes an image without its mask"):
        tile_batches(reader(split, augment=(Flip(),)), 1)


def test_a_mask_of_another_size_is_named(tmp_path):
    pair = save(tmp_path, "x", np.zeros((9, 9), np.uint8), np.eye(8, dtype=np.uint8))
    with pytest.raises(FileError, match="has 9x9 pixels"):
        list(tile_batches(reader(SegmentationSplit([pair], CLASSES), 16), 1))
