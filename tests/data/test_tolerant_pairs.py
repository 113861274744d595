"""Broken images and masks: replaced in training, left out of evaluations, an error if too many."""

import numpy as np
import pytest
import torch
from PIL import Image

from convatlas.catalog import build
from convatlas.data.manifest import fingerprint
from convatlas.data.preprocess import Preprocessing
from convatlas.data.segmentation import SegmentationSplit, open_segmentation
from convatlas.data.tiles import TileReader, class_weights, tile_batches
from convatlas.data.tolerant import TolerantPairs, tolerant
from convatlas.errors import FileError, InputError
from convatlas.evaluate.segmentation import evaluate_segmentation

GREY = Preprocessing((16, 16), (0.0,), (1.0,))


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def fill(folder, count=10):
    """Write images of which each shows its own number, and masks of one class and a spot."""
    for i in range(count):
        save(folder / "images" / f"{i}.png", np.full((16, 16), i))
        mask = np.zeros((16, 16))
        mask[: i + 1] = 255
        save(folder / "masks" / f"{i}.png", mask)


@pytest.fixture
def cells(tmp_path):
    for name in ("train", "val", "test"):
        fill(tmp_path / name)
    return tmp_path


def opened(folder):
    return open_segmentation(f"segmentation:{folder}")


def no_picture(folder, i):
    (folder / "images" / f"{i}.png").write_bytes(b"no picture")


def no_mask(folder, i):
    (folder / "masks" / f"{i}.png").write_bytes(b"no picture")


def other_size(folder, i):
    save(folder / "masks" / f"{i}.png", np.full((16, 17), 255))


def cut_off(folder, i):
    file = folder / "images" / f"{i}.png"
    save(file, np.random.default_rng(i).integers(0, 256, (16, 16)))
    file.write_bytes(file.read_bytes()[:120])


def cut_off_mask(folder, i):
    file = folder / "masks" / f"{i}.png"
    save(file, np.random.default_rng(i).integers(0, 2, (16, 16)))
    file.write_bytes(file.read_bytes()[:70])


def class_beyond(folder, i):
    (folder.parent / "classes.txt").write_text("ground\ncell\n")
    save(folder / "masks" / f"{i}.png", np.full((16, 16), 7))


SPOILT = (no_picture, no_mask, other_size, cut_off, cut_off_mask, class_beyond)


def numbers(split, **options):
    """Give the numbers that the tiles of one epoch show, by their place in the split."""
    found = {}
    for batch in tile_batches(TileReader(split, GREY, 0, seed=3), 4, **options):
        shown = (batch.images[:, 0, 0, 0] * 255).round().int().tolist()
        found |= dict(zip(batch.indices.tolist(), shown, strict=True))
    return found


@pytest.mark.parametrize("spoil", SPOILT)
def test_the_next_readable_pair_takes_the_place(cells, spoil):
    for i in (4, 5, 9):
        spoil(cells / "train", i)
    told = []
    train = tolerant(opened(cells), 0.3, lambda *what: told.append(what)).train
    expected = {i: i for i in range(10)} | {4: 6, 5: 6, 9: 0}
    assert numbers(train) == expected
    assert sorted(name for name, _ in told) == [f"train/images/{i}.png" for i in (4, 5, 9)]
    assert all(name.rpartition("/")[2] in reason for name, reason in told)
    assert numbers(train) == expected
    assert len(told) == 3
    assert (len(train), train.classes, train.name(4)) == (
        10,
        ("ground", "cell") if spoil is class_beyond else ("background", "foreground"),
        "train/images/4.png",
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_that_read_ahead_see_the_same(cells, workers):
    cut_off(cells / "train", 4)
    no_mask(cells / "train", 0)
    told = []
    train = tolerant(opened(cells), 0.2, lambda *what: told.append(what)).train
    assert numbers(train, workers=workers) == {i: i for i in range(10)} | {4: 5, 0: 1}
    assert sorted(name for name, _ in told) == ["train/images/0.png", "train/images/4.png"]


@pytest.mark.parametrize("spoil", [no_mask, cut_off])
def test_an_evaluation_leaves_it_out(cells, spoil):
    torch.manual_seed(0)
    model = build("unet_padded", 2, 1, width=2)
    whole = evaluate_segmentation(model, opened(cells).test, GREY)
    spoil(cells / "test", 4)
    told = []
    test = tolerant(opened(cells), 0.1, lambda *what: told.append(what)).test
    found = evaluate_segmentation(model, test, GREY)
    assert (found.count, found.pixels) == (9, 9 * 256)
    assert found.images == [score for score in whole.images if score.index != 4]
    assert [name for name, _ in told] == ["test/images/4.png"]
    with pytest.raises(FileError, match=r"4\.png"):
        evaluate_segmentation(model, opened(cells).test, GREY)


def test_what_is_seen_at_once_counts_at_once(cells):
    for i in range(2):
        no_picture(cells / "test", i)
    with pytest.raises(InputError) as caught:
        tolerant(opened(cells), 0.1)
    words = str(caught.value)
    assert "more images with masks of the test split are bad than the limit of 0.1 of 10" in words
    assert "test/images/0.png, test/images/1.png (" in words
    assert "--max-bad" in words
    assert "data check" not in words  # which knows no masks
    assert "\n" not in words


@pytest.mark.parametrize("workers", [0, 2])
def test_above_the_limit_one_error_names_it(cells, workers):
    for i in range(2):
        cut_off(cells / "train", i)
    told = []
    train = tolerant(opened(cells), 0.1, lambda *what: told.append(what)).train
    with pytest.raises(InputError, match="of the train split are bad than the limit"):
        numbers(train, workers=workers)
    assert sorted(name for name, _ in told) == ["train/images/0.png", "train/images/1.png"]


def test_nothing_can_take_the_place_of_all(cells):
    split = SegmentationSplit(opened(cells).train.pairs, ("a", "b"))
    for i in range(10):
        no_picture(cells / "train", i)
    with pytest.raises(InputError, match="no image with a mask can be read of the train split"):
        TolerantPairs(split, 1.0, "train").pair(3)


def test_a_folder_without_a_good_pair_is_refused(tmp_path):
    fill(tmp_path)
    for i in range(10):
        no_mask(tmp_path, i)
    with pytest.raises(
        FileError, match=r"no image with a mask that can be read: .*\.png is no pic"
    ):
        opened(tmp_path)
    (tmp_path / "classes.txt").write_text("ground\ncell\n")
    with pytest.raises(FileError, match="no image with a mask that can be read"):
        opened(tmp_path)


def test_a_folder_without_a_good_image_is_refused(tmp_path):
    fill(tmp_path)
    for i in range(10):
        cut_off(tmp_path, i)
    with pytest.raises(FileError, match="no image for training that can be read"):
        opened(tmp_path)


def test_a_bad_pair_changes_no_split(tmp_path):
    fill(tmp_path)
    before = opened(tmp_path)
    no_picture(tmp_path, 3)
    other_size(tmp_path, 4)
    after = opened(tmp_path)
    for name in ("train", "val", "test"):
        one, other = getattr(before, name), getattr(after, name)
        assert [pair.name for pair in one.pairs] == [pair.name for pair in other.pairs]
        assert fingerprint(tolerant(after, 1.0).train) == fingerprint(after.train)


def test_classes_are_weighed_by_the_masks_that_can_be_read(cells):
    train = opened(cells).train
    kept = SegmentationSplit(train.pairs[:4] + train.pairs[5:], train.classes)
    cut_off_mask(cells / "train", 4)
    assert class_weights(train) == class_weights(kept)
    for i in range(10):
        no_mask(cells / "train", i)
    with pytest.raises(FileError, match="no mask has a pixel of a class"):
        class_weights(train)
