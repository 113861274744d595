"""Bad images: replaced by one of their class, told of once, and too many of them are an error."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convatlas.data.loader import batches
from convatlas.data.preprocess import Preprocessing
from convatlas.data.sources import open_source
from convatlas.data.tolerant import TolerantSplit, tolerant
from convatlas.errors import FileError, InputError, UserError

GREY = Preprocessing((4, 4), (0.0,), (1.0,))
CLASSES, EACH = 4, 10


class Shelf:
    """Pictures of which each shows its own number; those of `broken` can't be read."""

    def __init__(self, broken=(), labels=None) -> None:
        self.broken = set(broken)
        self.labels = labels or [i // EACH for i in range(CLASSES * EACH)]
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, i: int) -> Image.Image:
        self.read.append(i)
        if i in self.broken:
            raise FileError(f"{self.name(i)} can't be read as a picture: it is torn")
        return Image.new("L", (4, 4), i)

    def label(self, i: int) -> int:
        return self.labels[i]

    def name(self, i: int) -> str:
        return f"{i}.png"


def numbers(found) -> list[int]:
    return [round(float(x) * 255) for batch in found for x in batch.images[:, 0, 0, 0]]


def test_the_next_of_its_class_takes_its_place():
    split = TolerantSplit(Shelf({3, 4, 9, 20}), limit=0.1)
    shown = [split.image(i).getpixel((0, 0)) for i in range(40)]
    expected = list(range(40))
    expected[3] = expected[4] = 5
    expected[9], expected[20] = 0, 21
    assert shown == expected
    assert split.labels == Shelf().labels
    assert (split.label(3), split.name(3), len(split)) == (0, "3.png", 40)


def test_what_is_known_to_be_bad_is_not_read_again():
    shelf = Shelf({3, 4})
    split = TolerantSplit(shelf, limit=0.1)
    split.image(3)
    assert shelf.read == [3, 4, 5]
    split.image(4)
    assert shelf.read == [3, 4, 5, 5]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_training_sees_a_full_batch_and_the_same_bytes(workers):
    told = []
    split = TolerantSplit(Shelf({3, 4, 20}), 0.1, "train", lambda *what: told.append(what))
    options = {"shuffle": True, "seed": 1, "epoch": 2}
    found = list(batches(split, GREY, 8, workers=workers, **options))
    assert [len(batch.labels) for batch in found] == [8] * 5
    plain = list(batches(Shelf(), GREY, 8, **options))
    expected = [{3: 5, 4: 5, 20: 21}.get(i, i) for i in numbers(plain)]
    assert numbers(found) == expected
    for one, other in zip(found, plain, strict=True):
        assert torch.equal(one.labels, other.labels)
    assert sorted(told) == [
        (f"{i}.png", f"{i}.png can't be read as a picture: it is torn") for i in (20, 3, 4)
    ]


def test_each_bad_image_is_told_of_once():
    told = []
    split = TolerantSplit(Shelf({7}), 0.1, "train", lambda *what: told.append(what))
    for epoch in range(3):
        list(batches(split, GREY, 8, shuffle=True, epoch=epoch, workers=epoch))
    assert [name for name, _ in told] == ["7.png"]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_evaluation_counts_no_image_twice(workers):
    split = TolerantSplit(Shelf({3, *range(8, 12)}), limit=0.2)
    found = list(batches(split, GREY, 4, workers=workers))
    assert numbers(found) == [i for i in range(40) if i not in {3, *range(8, 12)}]
    assert torch.cat([batch.indices for batch in found]).tolist() == numbers(found)
    assert len(found) == 9  # the batch of 8 to 11 has nothing to show


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_above_the_limit_one_error_names_it_and_the_first(workers, shuffle):
    told = []
    split = TolerantSplit(Shelf({0, 7, 11, 25}), 0.0751, "train", lambda *what: told.append(what))
    with pytest.raises(InputError) as caught:
        list(batches(split, GREY, 4, workers=workers, shuffle=shuffle))
    words = str(caught.value)
    assert "more images of the train split are bad than the limit of 0.0751 of 40 allows" in words
    assert "0.png, 7.png, 11.png, 25.png" in words
    assert "--max-bad" in words
    assert "\n" not in words
    assert sorted(name for name, _ in told) == ["0.png", "11.png", "25.png", "7.png"]


@pytest.mark.parametrize(
    ("limit", "allowed"), [(0, 0), (0.024, 0), (0.025, 1), (0.29, 11), (1, 40)]
)
def test_the_limit_is_a_part_of_the_split(limit, allowed):
    def read(count: int) -> None:
        split = TolerantSplit(Shelf(range(count), labels=[0] * 40), limit)
        list(batches(split, GREY, 40))

    read(min(allowed, 39))
    if allowed < 40:
        with pytest.raises(InputError, match="more images are bad"):
            read(allowed + 1)


def test_a_limit_of_decimal_parts_is_exact():
    broken = range(29)
    split = TolerantSplit(Shelf(broken, labels=[0] * 100), 0.29)
    assert split.image(0).getpixel((0, 0)) == 29


def test_a_class_without_a_readable_image_is_named():
    split = TolerantSplit(Shelf(range(10)), limit=0.5, name_of_split="val")
    with pytest.raises(InputError, match=r"no image of the class of 4\.png can be read of the val"):
        split.image(4)


@pytest.mark.parametrize("limit", [-0.1, 1.5, float("nan")])
def test_refuses_a_limit_that_is_no_part(limit):
    with pytest.raises(InputError, match="from 0 to 1"):
        TolerantSplit(Shelf(), limit)


def fill(folder: Path, count: int) -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i:03}.png")
    return folder


def test_a_source_of_files_is_made_tolerant_and_one_in_memory_stays(tmp_path):
    source = open_source(f"folder:{fill(tmp_path, 5)}")
    (tmp_path / "val" / "dog" / "002.png").write_bytes(b"no picture")
    told = []
    calm = tolerant(source, 0.1, lambda *what: told.append(what))
    assert calm.card == source.card
    preprocessing = source.card.preprocessing((3, 4, 4))
    for split in (calm.train, calm.val, calm.test):
        list(batches(split, preprocessing, 4))
    assert told == [
        (
            "val/dog/002.png",
            f"{tmp_path}/val/dog/002.png is no picture in a format that can be read",
        )
    ]
    with pytest.raises(UserError, match="of the val split"):
        list(batches(tolerant(source, 0.05).val, preprocessing, 4))
    digits = open_source("digits")
    assert tolerant(digits, 0).train is digits.train
