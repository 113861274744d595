"""Folders of pictures: three layouts, and one clear line for each way to get them wrong."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.data.sources import open_source
from convatlas.errors import FileError


def fill(folder: Path, **counts: int) -> Path:
    """Put `counts[name]` pictures into each class folder, each of its own grey."""
    for label, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("L", (3, 2), label * 100 + i).save(folder / name / f"{i}.png")
    return folder


def names(split) -> list[str]:
    return [split.name(i) for i in range(len(split))]


def opened(folder: Path, seed: int = 0):
    return open_source(f"folder:{folder}", seed=seed)


def test_three_splits_are_taken_as_they_are(tmp_path):
    for name, count in (("train", 4), ("val", 1), ("test", 2)):
        fill(tmp_path / name, cat=count, ant=count)
    source = opened(tmp_path)
    assert source.card.classes == ("ant", "cat")
    assert names(source.val) == ["val/ant/0.png", "val/cat/0.png"]
    assert names(source.test) == [f"test/{c}/{i}.png" for c in ("ant", "cat") for i in (0, 1)]
    assert source.train.labels == [0] * 4 + [1] * 4
    assert source.train.label(7) == 1
    image = source.train.image(5)
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("L", (3, 2), 1)


@pytest.mark.parametrize("held_out", ["val", "test"])
def test_of_two_splits_the_second_is_for_the_end(tmp_path, held_out):
    fill(tmp_path / "train", cat=30, dog=10)
    fill(tmp_path / held_out, cat=2, dog=3)
    source = opened(tmp_path)
    assert names(source.test) == [
        *(f"{held_out}/cat/{i}.png" for i in range(2)),
        *(f"{held_out}/dog/{i}.png" for i in range(3)),
    ]
    assert len(source.val) == 4
    assert np.bincount(source.val.labels).tolist() == [3, 1]
    assert not set(names(source.train)) & set(names(source.val))
    everything = {f"train/cat/{i}.png" for i in range(30)} | {
        f"train/dog/{i}.png" for i in range(10)
    }
    assert set(names(source.train)) | set(names(source.val)) == everything


def test_one_level_is_dealt_out(tmp_path):
    fill(tmp_path, cat=40, dog=10, eel=3, fox=2)
    source = opened(tmp_path)
    parts = (source.train, source.val, source.test)
    counts = [np.bincount(part.labels, minlength=4).tolist() for part in parts]
    assert counts == [[32, 8, 1, 1], [4, 1, 1, 0], [4, 1, 1, 1]]
    together = [name for part in parts for name in names(part)]
    assert len(together) == len(set(together)) == 55
    for part in parts:
        for i, name in enumerate(names(part)):
            assert name.split("/")[0] == source.card.classes[part.label(i)]


def test_the_seed_alone_draws_the_split(tmp_path):
    fill(tmp_path, cat=40, dog=40)
    assert names(opened(tmp_path).test) == names(opened(tmp_path).test)
    assert names(opened(tmp_path).test) != names(opened(tmp_path, seed=1).test)


def test_reads_imagenette(data_root):
    source = open_source("folder:imagenette160-tiny", root=data_root)
    assert len(source.card.classes) == 10
    assert [len(part) for part in (source.train, source.val, source.test)] == [180, 20, 100]
    assert np.bincount(source.val.labels).tolist() == [2] * 10
    x = source.card.preprocessing((3, 128, 128), resize_shorter=146)(source.test.image(0))
    assert x.shape == (3, 128, 128)


def test_finds_nested_files_of_any_case_and_passes_over_the_rest(tmp_path):
    fill(tmp_path, cat=3, dog=3)
    fill(tmp_path / "cat", deep=1)
    (tmp_path / "cat" / "0.png").rename(tmp_path / "cat" / "0.PnG")
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    (tmp_path / "cat" / "._1.png").write_text("left by a Mac")
    fill(tmp_path, **{".ipynb_checkpoints": 3})
    fill(tmp_path / "dog", **{".thumbnails": 3})
    (tmp_path / "README.md").write_text("no class")
    source = opened(tmp_path)
    assert source.card.classes == ("cat", "dog")
    found = {n for part in (source.train, source.val, source.test) for n in names(part)}
    cats = {"cat/0.PnG", "cat/1.png", "cat/2.png", "cat/deep/0.png"}
    assert found == cats | {f"dog/{i}.png" for i in range(3)}


def test_follows_links_but_not_in_circles(tmp_path):
    fill(tmp_path / "elsewhere", cat=3)
    fill(tmp_path / "pets", dog=3)
    (tmp_path / "pets" / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
    (tmp_path / "pets" / "dog" / "again").symlink_to(tmp_path / "pets" / "dog")
    source = opened(tmp_path / "pets")
    assert sum(len(part) for part in (source.train, source.val, source.test)) == 6


def test_a_broken_picture_is_named_when_it_is_read(tmp_path):
    fill(tmp_path, cat=3, dog=3)
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"broken")
    source = opened(tmp_path)
    with pytest.raises(FileError, match=source.train.name(0)):
        source.train.image(0)


def one_class(folder):
    fill(folder, cat=5)


def lone(folder):
    fill(folder, cat=5, dog=1)


def bare(folder):
    fill(folder, cat=5, dog=0)


def no_pictures(folder):
    fill(folder, cat=0, dog=0)


def loose_pictures(folder):
    fill(folder.parent, **{folder.name: 5})


def too_few(folder):
    fill(folder, cat=2, dog=2)


def train_only(folder):
    fill(folder / "train", cat=5, dog=5)


def val_only(folder):
    fill(folder / "val", cat=5, dog=5)


def other_classes(folder):
    fill(folder / "train", cat=5, dog=5, emu=5)
    fill(folder / "val", cat=5, dgo=5, emu=5)


def empty(folder):
    folder.mkdir()


def empty_train(folder):
    fill(folder / "val", cat=5, dog=5)
    (folder / "train").mkdir()


def absent(folder):
    pass


def a_file(folder):
    folder.write_text("no folder")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (one_class, "one class only, 'cat'"),
        (lone, "class 'dog' in .*pets needs 2 or more pictures; found 1"),
        (bare, "class 'dog' in .*pets needs 2 or more pictures; found 0"),
        (no_pictures, "has no pictures in class folders"),
        (loose_pictures, "has no pictures in class folders"),
        (too_few, "none are left for validation"),
        (train_only, "has train/ but neither val/ nor test/"),
        (val_only, "has val/ but no train/"),
        (other_classes, "differ: val/ lacks dog; train/ lacks dgo"),
        (empty, "pets is empty"),
        (empty_train, "train is empty"),
        (absent, "there is no folder"),
        (a_file, "can't read .*pets"),
    ],
)
def test_says_what_is_wrong(tmp_path, make, words):
    make(tmp_path / "pets")
    with pytest.raises(FileError, match=words) as caught:
        opened(tmp_path / "pets")
    assert str(tmp_path / "pets") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["", "cat", "cat/0.png"])
def test_a_name_that_is_not_utf8_is_shown_and_refused(tmp_path, part):
    folder = fill(tmp_path / "pets", cat=4, dog=4)
    odd = os.fsdecode(b"caf\xe9")
    try:
        renamed = (folder / part).rename((folder / part).with_name(odd + Path(part).suffix))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    with pytest.raises(FileError, match=r"caf\\xe9.* is not UTF-8: rename it") as caught:
        opened(folder if part else renamed)
    str(caught.value).encode()
