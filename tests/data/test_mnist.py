"""MNIST's files: the official ones are read, and everything else is refused by name."""

import dataclasses
import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from convatlas.data.idx import read_idx
from convatlas.data.mnist import FASHION_MNIST, MNIST, IdxFile, open_idx
from convatlas.data.sources import open_source
from convatlas.errors import FileError

NAMES = tuple(MNIST.files)


def idx(data: np.ndarray, magic: int | None = None) -> bytes:
    magic = 0x0800 + data.ndim if magic is None else magic
    return struct.pack(f">{1 + data.ndim}I", magic, *data.shape) + data.tobytes()


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def mnist(data_root):
    return open_source("mnist", root=data_root / "mnist")


def test_counts(mnist):
    assert [len(split) for split in (mnist.train, mnist.val, mnist.test)] == [55000, 5000, 10000]
    assert np.bincount(mnist.test.labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    train = np.bincount(mnist.train.labels)
    val = np.bincount(mnist.val.labels)
    assert (train + val).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert abs(val - (train + val) / 12).max() <= 1.5


def test_training_and_validation_are_disjoint_and_complete(mnist):
    indices = np.concatenate([mnist.train.indices, mnist.val.indices])
    assert np.array_equal(np.sort(indices), np.arange(60000))


def test_the_split_is_frozen(mnist):
    assert (
        hashlib.sha256(mnist.val.indices.astype(">i8").tobytes()).hexdigest()
        == "460ef2dfb9c4747d73dab970df6cf8997febff20b1038c3fb6e717fdeb28d1d7"
    )


def test_the_first_test_digit_is_a_seven(mnist):
    assert mnist.test.label(0) == 7
    assert mnist.test.name(0) == "test digit 0"
    assert mnist.test.image(0).size == (28, 28)


def test_is_centred_in_a_network_of_32x32(mnist):
    image = mnist.test.image(0)
    preprocessing = mnist.card.preprocessing((1, 32, 32))
    assert np.array_equal(preprocessing.resized(image), np.pad(np.asarray(image), 2))
    assert float(preprocessing(image).min()) == pytest.approx(-0.1)
    stretched = mnist.card.preprocessing((3, 64, 64))
    assert stretched.border == 0
    assert stretched(image).shape == (3, 64, 64)


def test_the_mean_and_the_deviation_are_about_0_and_1(mnist):
    preprocessing = mnist.card.preprocessing((1, 28, 28))
    x = preprocessing.normalized(np.asarray(mnist.test.images)[:, :, :, None])
    assert abs(float(x.mean())) < 0.1
    assert 0.3 < float(x.std()) < 1.1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[:-1], "holds 10007, so it is cut off"),
        (lambda content: content + b"\0", "holds more"),
        (lambda content: b"\0\0\x08\x03" + content[4:], "no idx file of 10000 bytes"),
        (lambda content: content[:8] + bytes([9]) + content[9:], "isn't the official file"),
        (lambda content: gzip.compress(content)[:3000], "is cut off in the middle"),
        (lambda content: gzip.compress(content)[:100] + b"\0" * 200, "can't be read"),
        (lambda _: b"", "holds 0, so it is cut off"),
    ],
)
def test_refuses_a_damaged_file(tmp_path, data_root, damage, words):
    name = "t10k-labels-idx1-ubyte"
    for other in NAMES:
        if other != name:
            (tmp_path / f"{other}.gz").symlink_to(data_root / "mnist" / f"{other}.gz")
    content = gzip.decompress((data_root / "mnist" / f"{name}.gz").read_bytes())
    put(tmp_path / f"{name}.gz", damage(content))
    with pytest.raises(FileError, match=rf"{name}.*{words}"):
        open_source("mnist", root=tmp_path)


def test_says_which_file_is_missing(tmp_path):
    with pytest.raises(FileError, match=r"Fashion-MNIST needs train-images-idx3-ubyte\.gz in"):
        open_source("fashion-mnist", root=tmp_path)


@pytest.mark.parametrize("zipped", [False, True])
def test_reads_idx_zipped_or_not(tmp_path, zipped):
    data = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    content = gzip.compress(idx(data)) if zipped else idx(data)
    assert np.array_equal(read_idx(put(tmp_path / "any", content), (2, 3, 4)), data)


def test_refuses_idx_of_another_type_or_size(tmp_path):
    data = np.zeros((2, 3), np.uint8)
    with pytest.raises(FileError, match=r"no idx file of 2 x 3 bytes"):
        read_idx(put(tmp_path / "signed", idx(data, 0x0902)), (2, 3))
    with pytest.raises(FileError, match=r"no idx file of 3 x 2 bytes"):
        read_idx(put(tmp_path / "turned", idx(data)), (3, 2))
    with pytest.raises(FileError, match="can't be read"):
        read_idx(tmp_path / "missing", (2, 3))


def small(folder: Path):
    """Write four small files and describe them as a source."""
    rng = np.random.default_rng(0)
    files = {}
    for name, count in (("train", 40), ("t10k", 20)):
        for kind, data in (
            ("images-idx3", rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)),
            ("labels-idx1", rng.permutation(np.arange(count, dtype=np.uint8) % 10)),
        ):
            content = idx(data)
            zipped = gzip.compress(content)
            full = f"{name}-{kind}-ubyte"
            put(folder / f"{full}.gz", zipped)
            hashes = [hashlib.sha256(part).hexdigest() for part in (zipped, content)]
            files[full] = IdxFile(data.shape, *hashes)
    return dataclasses.replace(FASHION_MNIST, files=files, val=10)


@pytest.mark.parametrize("layout", [".", "fashion-mnist", "FashionMNIST/raw"])
def test_finds_the_files_where_people_keep_them(tmp_path, layout):
    source = open_idx(small(tmp_path / layout), tmp_path)
    assert [len(split) for split in (source.train, source.val, source.test)] == [30, 10, 20]
    assert np.bincount(source.val.labels).tolist() == [1] * 10
    assert source.card.classes[9] == "Ankle boot"


def test_downloads_what_is_missing_into_the_cache(tmp_path, monkeypatch, file_server):
    described = small(tmp_path / "official")
    files = {path.name: path.read_bytes() for path in (tmp_path / "official").iterdir()}
    described = dataclasses.replace(described, mirrors=(file_server(files),))
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path / "cache"))
    told = []
    source = open_idx(described, progress=lambda *event: told.append(event))
    assert len(source.test) == 20
    assert {name for name, _, _ in told} == set(files)
    kept = tmp_path / "cache" / "fashion-mnist"
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == files
    described = dataclasses.replace(described, mirrors=("http://127.0.0.1:1/",))
    assert len(open_idx(described).test) == 20  # no network needed any more
