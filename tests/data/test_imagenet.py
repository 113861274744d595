"""ImageNet's layout with the official lists, in part and in small, and what can be wrong."""

import contextlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convatlas.data.matlab import read_matlab
from convatlas.data.sources import open_source
from convatlas.errors import FileError

TRUTH = "ILSVRC2012_validation_ground_truth.txt"
WNIDS = ("n01440764", "n01443537", "n02119789")  # labels 0, 1 and 278; numbers 449, 450 and 1


def pictures(folder: Path, count: int, name: str = "p_{}.JPEG", first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        Image.new("RGB", (4, 3), (i, i, i)).save(folder / name.format(i))


def names(split) -> list[str]:
    return [split.name(i) for i in range(len(split))]


@pytest.fixture(scope="module")
def lists(data_root) -> Path:
    return data_root / "imagenet-classes"


def test_the_lists_are_read_as_they_are(lists):
    synsets = read_matlab(lists / "meta.mat")["synsets"]
    leaves = {entry["WNID"]: entry["words"] for entry in synsets if not entry["num_children"]}
    lines = (lists / "synset_words.txt").read_text().splitlines()
    assert leaves == dict(line.split(" ", 1) for line in lines)
    assert len(synsets) == 1860
    first = synsets[0]
    assert (first["WNID"], first["words"]) == ("n02119789", "kit fox, Vulpes macrotis")
    assert first["num_train_images"].item() == 1300
    assert "\u2014" not in first["gloss"]


def test_flat_validation_images_get_the_published_labels(tmp_path, data_root, lists):
    (tmp_path / "val").symlink_to(data_root / "imagenet-val227" / "images")
    (tmp_path / "devkit").symlink_to(lists)
    source = open_source(f"imagenet:{tmp_path}")
    lines = (data_root / "imagenet-val227" / "labels.txt").read_text().splitlines()
    expected = {f"val/{line.split()[0]}": int(line.split()[1]) for line in lines}
    assert len(expected) == 119
    assert dict(zip(names(source.test), source.test.labels, strict=True)) == expected
    assert source.card.classes[0] == "tench, Tinca tinca"
    assert len(source.card.classes) == 1000
    assert source.test.image(0).size == (227, 227)
    assert len(source.train) == len(source.val) == 0


@pytest.mark.parametrize("place", [".", "ILSVRC2012_devkit_t12/data"])
@pytest.mark.parametrize("train", ["train", "ILSVRC2012_img_train"])
def test_a_part_of_the_classes_keeps_its_numbers(tmp_path, lists, place, train):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "meta.mat").symlink_to(lists / "meta.mat")
    for wnid, count in zip(WNIDS, (20, 30, 10), strict=True):
        pictures(tmp_path / train / wnid, count)
        pictures(tmp_path / "val" / wnid, 2)
    source = open_source(f"imagenet:{tmp_path}")
    assert len(source.card.classes) == 1000
    assert source.card.classes[278] == "kit fox, Vulpes macrotis"
    assert source.test.labels == [0, 0, 1, 1, 278, 278]
    assert names(source.test)[0] == "val/n01440764/p_0.JPEG"
    counts = {label: source.val.labels.count(label) for label in (0, 1, 278)}
    assert counts == {0: 2, 1: 3, 278: 1}
    assert len(source.train) == 54
    assert not set(names(source.train)) & set(names(source.val))


def test_without_lists_the_folders_are_the_classes(tmp_path):
    for wnid in WNIDS:
        pictures(tmp_path / "train" / wnid, 5)
        pictures(tmp_path / "val" / wnid, 1)
    source = open_source(f"imagenet:{tmp_path}")
    assert source.card.classes == WNIDS
    assert source.test.labels == [0, 1, 2]


def test_the_list_of_words_alone_numbers_the_classes(tmp_path, lists):
    (tmp_path / "synset_words.txt").symlink_to(lists / "synset_words.txt")
    pictures(tmp_path / "val" / WNIDS[2], 1)
    assert open_source(f"imagenet:{tmp_path}").test.labels == [278]


def test_says_what_is_missing(tmp_path, lists):
    with pytest.raises(FileError, match="neither train/ nor val/"):
        open_source(f"imagenet:{tmp_path}")
    (tmp_path / "synset_words.txt").symlink_to(lists / "synset_words.txt")
    pictures(tmp_path / "val", 1, "ILSVRC2012_val_0000000{}.JPEG", first=1)
    with pytest.raises(FileError, match=rf"without class folders: put the devkit's {TRUTH}"):
        open_source(f"imagenet:{tmp_path}")
    (tmp_path / TRUTH).write_text("490\n361\n")
    with pytest.raises(FileError, match=r"whose classes only meta\.mat knows"):
        open_source(f"imagenet:{tmp_path}")
    (tmp_path / "meta.mat").symlink_to(lists / "meta.mat")
    assert len(open_source(f"imagenet:{tmp_path}").test) == 1
    pictures(tmp_path / "val", 1, "ILSVRC2012_val_0000000{}.JPEG", first=3)
    with pytest.raises(FileError, match="no number from 1 to 2"):
        open_source(f"imagenet:{tmp_path}")
    (tmp_path / TRUTH).write_text("490\ncat\n")
    with pytest.raises(FileError, match="no class"):
        open_source(f"imagenet:{tmp_path}")


def test_says_what_is_in_no_class(tmp_path, lists):
    (tmp_path / "meta.mat").symlink_to(lists / "meta.mat")
    pictures(tmp_path / "val" / "n00000000", 1)
    with pytest.raises(FileError, match="folders of no class: n00000000"):
        open_source(f"imagenet:{tmp_path}")
    (tmp_path / "val" / "n00000000").rename(tmp_path / "val" / WNIDS[0])
    (tmp_path / "val" / WNIDS[0] / "p_0.JPEG").unlink()
    with pytest.raises(FileError, match="no pictures in class folders"):
        open_source(f"imagenet:{tmp_path}")


def test_one_folder_and_no_list_are_no_classes(tmp_path):
    pictures(tmp_path / "train" / "n01440764", 2)
    with pytest.raises(FileError, match="has 1 class folders"):
        open_source(f"imagenet:{tmp_path}")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no MATLAB 5 file"),
        (b"MATLAB 5.0 MAT-file".ljust(126) + b"MI", "no MATLAB 5 file"),
        (b"MATLAB 5.0 MAT-file".ljust(126) + b"IM" + struct.pack("<II", 14, 99), "are left"),
        (
            b"MATLAB 5.0 MAT-file".ljust(126) + b"IM" + struct.pack("<II", 15, 4) + b"torn",
            "damaged",
        ),
        (b"MATLAB 5.0 MAT-file".ljust(126) + b"IM", "no list of synsets"),
    ],
)
def test_refuses_a_damaged_meta(tmp_path, content, words):
    pictures(tmp_path / "val" / WNIDS[0], 1)
    (tmp_path / "meta.mat").write_bytes(content)
    with pytest.raises(FileError, match=words):
        open_source(f"imagenet:{tmp_path}")


@settings(max_examples=80, deadline=None)
@given(where=st.integers(0, 600), value=st.integers(0, 255), cut=st.integers(100, 700))
def test_damage_of_a_meta_is_an_error_of_its_own(tmp_path_factory, where, value, cut):
    def element(kind: int, data: bytes) -> bytes:
        return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)

    def array(kind: int, shape: tuple[int, ...], name: bytes, data: bytes) -> bytes:
        flags = element(6, struct.pack("<II", kind, 0))
        sizes = element(5, np.array(shape, "<i4").tobytes())
        return element(14, flags + sizes + element(1, name) + data)

    values = array(4, (1, 9), b"", element(16, b"n02119789"))
    values += array(9, (1, 1), b"", element(2, b"\x01"))
    body = element(5, struct.pack("<i", 8)) + element(1, b"WNID\0\0\0\0ID\0\0\0\0\0\0") + values
    whole = array(2, (1, 1), b"synsets", body)
    head = b"MATLAB 5.0 MAT-file".ljust(126) + b"IM"
    path = tmp_path_factory.mktemp("meta") / "meta.mat"
    packed = zlib.compress(whole)
    for content in (head + whole, head + struct.pack("<II", 15, len(packed)) + packed):
        path.write_bytes(content)
        (found,) = read_matlab(path)["synsets"]
        assert (found["WNID"], found["ID"].item()) == ("n02119789", 1)
        damaged = bytearray(content[:cut])
        if where < len(damaged):
            damaged[where] = value
        path.write_bytes(damaged)
        with contextlib.suppress(FileError):
            read_matlab(path)
