"""Tar files of samples: read at random through an index, in full or with one clear line."""

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convatlas.data.loader import batches
from convatlas.data.preprocess import Preprocessing
from convatlas.data.shards import read_shard
from convatlas.data.sources import open_source
from convatlas.data.webdataset import expanded
from convatlas.errors import FileError, InputError

COLOUR = Preprocessing((4, 4), (0.5,) * 3, (0.5,) * 3)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "shards"


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), (number, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def samples(first: int, count: int, classes: int = 3) -> dict[str, bytes]:
    files = {}
    for i in range(first, first + count):
        files[f"{i:04}.cls"] = str(i % classes).encode()
        files[f"{i:04}.png"] = png(i)
        files[f"{i:04}.json"] = b"{}"  # of no use here
    return files


def numbers(split) -> list[int]:
    return [split.image(i).getpixel((0, 0))[0] for i in range(len(split))]


def test_reads_every_picture_of_every_split(tmp_path):
    for shard in range(3):
        tar(tmp_path / f"train-{shard:03}.tar", samples(20 * shard, 20))
    tar(tmp_path / "val-000.tar", samples(60, 6))
    tar(tmp_path / "test-000.tar", samples(66, 9))
    source = open_source(f"webdataset:{tmp_path}/{{train-{{000..002}},val-000,test-000}}.tar")
    assert source.card.classes == ("0", "1", "2")
    assert numbers(source.train) == list(range(60))
    assert numbers(source.val) == list(range(60, 66))
    assert source.test.labels == [i % 3 for i in range(66, 75)]
    assert source.train.name(25) == "train-001.tar/0025.png"
    assert source.train.label(25) == 25 % 3
    assert source.train.content(25) == png(25)
    assert open_source("webdataset:*.tar", root=tmp_path).train.labels == source.train.labels


def test_batches_are_those_of_any_other_split(tmp_path):
    tar(tmp_path / "train.tar", samples(0, 40))
    tar(tmp_path / "val.tar", samples(40, 10))
    source = open_source(f"webdataset:{tmp_path}/*.tar")
    options = {"shuffle": True, "seed": 4, "epoch": 2}
    whole = list(batches(source.train, COLOUR, 8, **options))
    again = list(batches(source.train, COLOUR, 8, start=2, workers=2, **options))
    for one, other in zip(whole[2:], again, strict=True):
        assert one.images.equal(other.images)
        assert one.labels.equal(other.labels)


def test_the_second_split_is_for_the_end(tmp_path):
    tar(tmp_path / "train" / "0.tar", samples(0, 40))
    tar(tmp_path / "valid" / "0.tar", samples(40, 9))
    source = open_source(f"webdataset:{tmp_path}/{{train,valid}}/0.tar")
    assert numbers(source.test) == list(range(40, 49))
    assert (len(source.train), len(source.val)) == (36, 4)


def test_without_words_in_the_names_it_is_dealt_out(tmp_path):
    tar(tmp_path / "a.tar", samples(0, 30))
    tar(tmp_path / "b.tar", samples(30, 30))
    source = open_source(f"webdataset:{tmp_path}/{{a,b}}.tar")
    found = [set(numbers(split)) for split in (source.train, source.val, source.test)]
    assert [len(part) for part in found] == [48, 6, 6]
    assert set.union(*found) == set(range(60))
    assert np.bincount(source.test.labels).tolist() == [2, 2, 2]


def test_classes_may_be_names_or_get_some(tmp_path):
    files = {}
    for i in range(12):
        files |= {f"d/{i}.jpg.png": b"", f"d/{i}.CLS": b" cat\n" if i % 2 else b"ant"}
        files |= {f"d/{i}.png": png(i)}
        del files[f"d/{i}.jpg.png"]
    tar(tmp_path / "x.tar", files)
    assert open_source(f"webdataset:{tmp_path}/x.tar").card.classes == ("ant", "cat")
    tar(tmp_path / "y.tar", samples(0, 30))
    (tmp_path / "classes.txt").write_text("zero\none\ntwo\nthree\n")
    source = open_source(f"webdataset:{tmp_path}/y.tar")
    assert source.card.classes == ("zero", "one", "two", "three")
    (tmp_path / "classes.txt").write_text("zero\n")
    with pytest.raises(FileError, match=r"names 1 classes, and .* has a class 2"):
        open_source(f"webdataset:{tmp_path}/y.tar")


def test_the_index_is_kept_and_made_anew_for_another_file(tmp_path, cache, monkeypatch):
    path = tar(tmp_path / "a.tar", samples(0, 5))
    first = read_shard(path)
    (index,) = cache.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(tarfile, "open", None)
        assert read_shard(path) == first
    index.write_text("[")
    assert read_shard(path) == first
    assert json.loads(index.read_text())[1] == str(path)
    tar(path, samples(0, 6))
    os.utime(path, (1, 1))
    assert len(read_shard(path)) == 6
    assert len(list(cache.iterdir())) == 1


def test_needs_no_place_for_the_index(tmp_path, monkeypatch):
    path = tar(tmp_path / "a.tar", samples(0, 5))
    monkeypatch.setenv("CONVATLAS_CACHE", str(path))  # a file: nothing can be kept below it
    assert len(read_shard(path)) == 5


def test_a_bad_picture_is_named_with_its_shard(tmp_path):
    tar(tmp_path / "a.tar", samples(0, 9) | {"0004.png": b"no picture"})
    source = open_source(f"webdataset:{tmp_path}/a.tar")
    everything = [(split, i) for split in (source.train, source.val, source.test)
                  for i in range(len(split))]  # fmt: skip
    ((split, i),) = [(s, i) for s, i in everything if s.name(i) == "a.tar/0004.png"]
    with pytest.raises(FileError, match=rf"{tmp_path}/a\.tar/0004\.png is no picture"):
        split.image(i)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"1.png": b""}, r"has no \.cls beside 1\.png"),
        ({"1.png": b"", "1.cls": b""}, r"has an empty 1\.cls"),
        ({"1.png": b"", "1.cls": b"\xff"}, "not in UTF-8"),
        ({"1.png": b"", "1.jpg": b"", "1.cls": b"0"}, r"two pictures of one name, 1\.jpg"),
        ({"1.png": b"", "1.cls": b"0"}, "needs two classes or more; it has 1"),
        ({"1.png": b"", "1.cls": b"99999999"}, "is this the number of a class"),
        ({}, "needs two classes or more; it has 0"),
        (samples(0, 4), "none are left for validation"),
    ],
)
def test_says_what_is_wrong_with_a_shard(tmp_path, files, words):
    tar(tmp_path / "a.tar", files)
    with pytest.raises(FileError, match=words):
        open_source(f"webdataset:{tmp_path}/a.tar")


def test_refuses_shards_that_are_not_whole(tmp_path):
    path = tar(tmp_path / "a.tar", samples(0, 30))
    content = path.read_bytes()
    for part in (0.1, 0.5, 0.7):
        path.write_bytes(content[: int(part * len(content)) // 512 * 512 + 100])
        with pytest.raises(FileError, match=rf"{path} is no whole tar file"):
            read_shard(path)
    path.write_bytes(b"")
    with pytest.raises(FileError, match=rf"{path} is no whole tar file"):
        read_shard(path)
    with pytest.raises(FileError, match="or a compressed one"):
        read_shard(tar(path, samples(0, 3), "w:gz"))


def test_notices_a_shard_that_was_cut_after_it_was_indexed(tmp_path):
    path = tar(tmp_path / "a.tar", samples(0, 30))
    source = open_source(f"webdataset:{path}")
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(FileError, match=r"ends in the midst of 00\d\d\.png"):
        [source.train.image(i) for i in range(len(source.train))]


def test_says_which_shard_is_missing_or_of_no_split(tmp_path):
    tar(tmp_path / "train-0.tar", samples(0, 30))
    with pytest.raises(FileError, match=r"there is no file .*train-1\.tar"):
        open_source(f"webdataset:{tmp_path}/train-{{0..1}}.tar")
    with pytest.raises(FileError, match=r"there is no file .*q\*\.tar"):
        open_source(f"webdataset:{tmp_path}/q*.tar")
    with pytest.raises(FileError, match="needs pictures for training, and others for testing"):
        open_source(f"webdataset:{tmp_path}/train-0.tar")
    tar(tmp_path / "more.tar", samples(30, 30))
    with pytest.raises(FileError, match=r"more\.tar is of no split"):
        open_source(f"webdataset:{tmp_path}/*.tar")


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("a.tar", ["a.tar"]),
        ("{a,b}.tar", ["a.tar", "b.tar"]),
        ("x{8..11}", ["x8", "x9", "x10", "x11"]),
        ("x{08..11}", ["x08", "x09", "x10", "x11"]),
        ("{1..0}{a,}", ["1a", "1", "0a", "0"]),
        ("{t-{0..1},v}.tar", ["t-0.tar", "t-1.tar", "v.tar"]),
        ("{a}.tar", ["{a}.tar"]),
        ("{a}-{b,c}{", ["{a}-b{", "{a}-c{"]),
        ("}{a,{b,c}d}", ["}a", "}bd", "}cd"]),
    ],
)
def test_braces_are_those_of_a_shell(pattern, files):
    assert list(expanded(pattern)) == files


@given(first=st.integers(0, 300), count=st.integers(1, 50), width=st.integers(1, 5))
def test_a_range_has_all_its_numbers(first, count, width):
    names = [f"{i:0{width}}" for i in range(first, first + count)]
    assert list(expanded(f"s-{{{names[0]}..{names[-1]}}}.tar")) == [f"s-{n}.tar" for n in names]


def test_refuses_a_range_without_end():
    with pytest.raises(InputError, match="more than 100000 shards"):
        list(expanded("{0..99999999999}"))
