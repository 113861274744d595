"""CIFAR's files: both versions, packed or not; damage and pickles that run code are refused."""

import dataclasses
import gzip
import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from convatlas.data.cifar import CIFAR10, CIFAR100, open_cifar
from convatlas.data.cifar_sources import CifarFile
from convatlas.data.pickles import read_arrays
from convatlas.data.sources import open_source
from convatlas.errors import FileError

RNG_SEED = 5


def python2_pickle(pixels: np.ndarray, key: bytes, labels: list[int]) -> bytes:
    """Pickle as Python 2 with its numpy did, by which the official files were written."""
    content = pixels.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        + b"(K\x01K%cM\x00\x0c\x86" % len(pixels)
        + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
        + b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + b"T" + len(content).to_bytes(4, "little") + content + b"tb"
    )  # fmt: skip
    numbers = b"".join(b"K%c" % label for label in labels)
    return b"\x80\x02}(U\x04data" + array + b"U%c%s](" % (len(key), key) + numbers + b"eu."


class Made:
    """A data set of the form of CIFAR with random images: its files, and what they hold."""

    def __init__(self, official) -> None:
        rng = np.random.default_rng(RNG_SEED)
        names = [*official.train, *official.test]
        self.pixels = {name: rng.integers(0, 256, (40, 3072), dtype=np.uint8) for name in names}
        top = len(official.card.classes)
        self.labels = {name: rng.permutation(np.arange(40) % top).tolist() for name in names}
        self.binary, self.python = {}, {}
        for name in names:
            records = np.zeros((40, official.label_bytes + 3072), np.uint8)
            records[:, official.label_bytes - 1] = self.labels[name]
            records[:, official.label_bytes :] = self.pixels[name]
            self.binary[f"{name}.bin"] = records.tobytes()
            self.python[name] = python2_pickle(
                self.pixels[name], official.label_key, self.labels[name]
            )
        files = {
            name: CifarFile(
                40,
                hashlib.sha256(self.binary[f"{name}.bin"]).hexdigest(),
                hashlib.md5(self.python[name]).hexdigest(),
            )
            for name in names
        }
        self.source = dataclasses.replace(
            official,
            train={name: files[name] for name in official.train},
            test={name: files[name] for name in official.test},
        )

    def picture(self, name: str, i: int) -> np.ndarray:
        return self.pixels[name][i].reshape(3, 32, 32).transpose(1, 2, 0)


MADE = {"cifar10": Made(CIFAR10), "cifar100": Made(CIFAR100)}


def packed(folder: str, files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def put_all(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        put(folder / name, content)


@pytest.mark.parametrize("version", ["binary", "python"])
@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("form", ["folder", "inner folder", "named folder", "archive"])
def test_reads_both_versions_as_people_keep_them(tmp_path, name, version, form):
    made = MADE[name]
    layout, files = getattr(made.source, version), getattr(made, version)
    if form == "archive":
        put(tmp_path / layout.archive, packed(layout.folder, files))
    else:
        inner = {"folder": ".", "inner folder": layout.folder, "named folder": name}[form]
        put_all(tmp_path / inner, files)
    source = open_cifar(made.source, tmp_path)
    train = [*made.source.train]
    count = 40 * len(train)
    assert [len(s) for s in (source.train, source.val, source.test)] == [
        count - count // 10, count // 10, 40,
    ]  # fmt: skip
    for split in (source.train, source.val):
        for i in range(0, len(split), 7):
            whole = int(split.indices[i])
            file, place = train[whole // 40], whole % 40
            assert np.array_equal(split.image(i), made.picture(file, place))
            assert split.label(i) == made.labels[file][place]
            assert split.name(i) == f"training image {whole}"
    test = next(iter(made.source.test))
    assert source.test.labels == made.labels[test]
    assert np.array_equal(source.test.image(3), made.picture(test, 3))
    assert source.card == made.source.card


@pytest.fixture(scope="module")
def part(data_root):
    return open_source("cifar10", root=data_root / "cifar10-train4000")


def test_the_validation_split_is_frozen(part):
    assert (
        hashlib.sha256(part.val.indices.astype(">i8").tobytes()).hexdigest()[:16]
        == "902728a55d675e3c"
    )


def test_downloads_the_binary_version_once(tmp_path, monkeypatch, file_server):
    made = MADE["cifar100"]
    content = packed(made.source.binary.folder, made.binary)
    described = dataclasses.replace(made.source, sha256=hashlib.sha256(content).hexdigest())
    url = file_server({made.source.binary.archive: content})
    monkeypatch.setattr("convatlas.data.cifar._MIRROR", url)
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path / "cache"))
    assert len(open_cifar(described).test) == 40
    monkeypatch.setattr("convatlas.data.cifar._MIRROR", "http://127.0.0.1:1/")
    assert len(open_cifar(described).test) == 40
    assert [path for path, _ in file_server.requests] == [f"/{made.source.binary.archive}"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda files: files | {"test_batch.bin": files["test_batch.bin"][:-1]}, "official file"),
        (lambda files: files | {"data_batch_2.bin": b""}, "data_batch_2.bin isn't the official"),
        (
            lambda files: {k: v for k, v in files.items() if k != "data_batch_3.bin"},
            "data_batch_3.bin can't be read: No such file",
        ),
    ],
)
def test_refuses_other_files_than_the_official_ones(tmp_path, damage, words):
    put_all(tmp_path, damage(MADE["cifar10"].binary))
    with pytest.raises(FileError, match=words):
        open_cifar(MADE["cifar10"].source, tmp_path)


def test_refuses_a_damaged_archive(tmp_path):
    made = MADE["cifar10"]
    content = packed("x", made.binary)
    path = put(tmp_path / made.source.binary.archive, content[: len(content) // 2])
    with pytest.raises(FileError, match=rf"{path} can't be unpacked"):
        open_cifar(made.source, tmp_path)
    put(path, packed("x", {"test_batch.bin": b""}))
    with pytest.raises(FileError, match=r"has no data_batch_1\.bin"):
        open_cifar(made.source, tmp_path)


def test_says_what_is_missing(tmp_path):
    with pytest.raises(FileError) as caught:
        open_source("cifar100", root=tmp_path)
    assert "cifar-100-binary.tar.gz or cifar-100-python.tar.gz" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_the_names_are_the_official_ones():
    assert CIFAR10.card.classes[:3] == ("airplane", "automobile", "bird")
    assert len(CIFAR100.card.classes) == 100
    assert sorted(CIFAR100.card.classes) == list(CIFAR100.card.classes)
    assert CIFAR100.card.classes[99] == "worm"


def test_a_part_of_the_official_files_is_dealt_out_and_called_a_part(part):
    assert part.card.title == "CIFAR-10, 4,000 of its training images"
    assert part.card.name == "cifar10"
    assert [len(s) for s in (part.train, part.val, part.test)] == [3200, 400, 400]
    indices = np.concatenate([s.indices for s in (part.train, part.val, part.test)])
    assert np.array_equal(np.sort(indices), np.arange(4000))
    assert part.train.classes[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]  # as published


def test_records_that_are_no_whole_ones_are_refused(tmp_path):
    put(tmp_path / "data_batch_1.bin", bytes(3072))
    with pytest.raises(FileError, match="no whole records of 3073"):
        open_source("cifar10", root=tmp_path)
    put(tmp_path / "data_batch_1.bin", bytes([10]) + bytes(3072))
    with pytest.raises(FileError, match="labels outside 0 to 9"):
        open_source("cifar10", root=tmp_path)
    put(tmp_path / "data_batch_1.bin", bytes(3073))
    with pytest.raises(FileError, match="holds 1 images: too few"):
        open_source("cifar10", root=tmp_path)
    (tmp_path / "data_batch_1.bin").unlink()
    put(tmp_path / "data_batch_1.bin.gz", gzip.compress(bytes(3073))[:20])
    with pytest.raises(FileError, match="cut off"):
        open_source("cifar10", root=tmp_path)


class Bomb:
    """Writes a file when a pickle of it is read as pickles usually are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path):
    content = pickle.dumps({b"data": Bomb(tmp_path / "owned")})
    with pytest.raises(FileError, match=r"train is no pickle of arrays: it calls pathlib\."):
        read_arrays(content, "train")
    assert not (tmp_path / "owned").exists()
    pickle.loads(content)
    assert (tmp_path / "owned").exists()  # so the bomb was real


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no pickle of arrays"),
        (b"\x80\x02}q\x00", "no pickle of arrays"),
        (pickle.dumps([1]), "holds a list, not a dictionary"),
        (b"cos\nsystem\n(S'true'\ntR.", r"it calls os\.system"),
    ],
)
def test_refuses_pickles_of_anything_else(content, words):
    with pytest.raises(FileError, match=words):
        read_arrays(content, "train")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "no array of pixels"),
        ({b"data": np.zeros((2, 3072), np.float32)}, "no array of pixels"),
        ({b"data": np.zeros((2, 3072), np.uint8)}, "no list of labels"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": ["cat", "dog"]}, "no list of labels"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, "1 labels and pixels of shape"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, "labels outside 0 to 9"),
    ],
)
def test_refuses_python_files_without_images(tmp_path, fields, words):
    made = MADE["cifar10"]
    content = pickle.dumps(fields, protocol=3)
    file = CifarFile(1, "", hashlib.md5(content).hexdigest())
    source = dataclasses.replace(made.source, train={"data_batch_1": file}, test={"test": file})
    put_all(tmp_path, {"data_batch_1": content, "test": content})
    with pytest.raises(FileError, match=words):
        open_cifar(source, tmp_path)
