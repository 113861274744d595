"""F9: files that are no pictures. Below the limit a run names each and ends; above, it says so."""

import hashlib
import io
import os
import random
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from counts import rounds
from PIL import Image

from convatlas.data.sources import open_source
from convatlas.data.tolerant import tolerant
from convatlas.errors import InputError
from convatlas.evaluate.evaluation import evaluate
from convatlas.evaluate.protocols import CENTER, find_protocol
from convatlas.train.options import RunOptions
from convatlas.train.run import start_run
from convatlas.weights.store import load

CLASSES = ("bar", "dot", "ring")
SETTINGS = {"recipe_name": "digits", "epochs": 2, "changes": {"batch_size": 20}}


def written(kind: str, **options) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 256, (24, 24), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


def odd_greys() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4), 300.0, np.float32)).save(buffer, "TIFF")
    return buffer.getvalue()


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content) // 10, int(0.7 * len(content)))]


BYTES = {
    "empty": lambda _: b"",
    "text": lambda _: b"Dear reader,\n" * 50,
    "noise": lambda draw: draw.randbytes(500),
    "cut JPEG": lambda draw: cut(written("JPEG"), draw),
    "cut PNG": lambda draw: cut(written("PNG"), draw),
    "cut WebP": lambda draw: cut(written("WEBP", lossless=True), draw),
    "bomb": lambda _: bomb(),
    "PostScript": lambda _: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
    "odd greys": lambda _: odd_greys(),
    "drawing": lambda _: b'<svg xmlns="http://www.w3.org/2000/svg"/>',
}
KINDS = (*BYTES, "dangling link", "pipe")


def spoil(path, kind: str, draw: random.Random) -> None:
    path.unlink()
    if kind == "dangling link":
        path.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(BYTES[kind](draw))


@pytest.fixture
def folder(tmp_path):
    """Give `folder(each)`: three easy classes of so many pictures for training, and 10 and 10."""

    def folder(each: int):
        rng = np.random.default_rng(0)
        for split, count in (("train", each), ("val", 10), ("test", 10)):
            for label, name in enumerate(CLASSES):
                place = tmp_path / "pictures" / split / name
                place.mkdir(parents=True)
                for i in range(count):
                    pixels = rng.integers(0, 60, (12, 12), np.uint8)
                    pixels[2 + label : 9, 2 : 9 - label] += 150
                    Image.fromarray(pixels).save(place / f"{i:03}.png", compress_level=0)
        return tmp_path / "pictures"

    return folder


def spoiled(folder, split: str, count: int, seed: int) -> list[str]:
    """Spoil some pictures of a split, with all kinds of damage, and name them."""
    draw = random.Random(seed)
    files = draw.sample(sorted((folder / split).rglob("*.png")), count)
    for i, file in enumerate(files):
        spoil(file, KINDS[i % len(KINDS)], draw)
    return sorted(str(file.relative_to(folder)) for file in files)


def listed(out) -> list[str]:
    lines = (out / "bad_images.txt").read_text().splitlines()
    assert all(len(line.split("\t")) == 2 for line in lines)
    return sorted(line.partition("\t")[0] for line in lines)


def trained(out, folder, **options) -> str:
    start_run("lenet5_modern", f"folder:{folder}", out=out, **SETTINGS, **options)
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()


@rounds(0, 10)
def test_one_in_a_hundred_is_named_and_passed_over(folder, tmp_path, seed):
    named_and_passed_over(folder(400), tmp_path, seed, RunOptions())  # 12 of 1,200


@rounds(1, 1)
def test_up_to_a_given_limit_they_are_named_and_passed_over(folder, tmp_path, seed):
    named_and_passed_over(folder(40), tmp_path, seed, RunOptions(max_bad=0.1))  # 12 of 120


def named_and_passed_over(pictures, tmp_path, seed: int, options: RunOptions) -> None:
    bad = spoiled(pictures, "train", 12, seed)
    told = []
    weights = trained(tmp_path / "run", pictures, progress=told.append, options=options)
    assert listed(tmp_path / "run") == bad
    notices = [event.text for event in told if hasattr(event, "text")]
    assert sum("a bad image" in text for text in notices) == 10
    assert sum("more bad images" in text for text in notices) == 1
    ahead = replace(options, workers=2)
    assert trained(tmp_path / "read ahead", pictures, options=ahead) == weights
    assert listed(tmp_path / "read ahead") == bad
    steps = iter(range(1000))
    start_run(
        "lenet5_modern",
        f"folder:{pictures}",
        out=tmp_path / "stopped",
        stop=lambda: next(steps) == 4 + seed,
        options=options,
        **SETTINGS,
    )
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    assert trained(tmp_path / "stopped", pictures, resume=True, options=options) == weights
    assert listed(tmp_path / "stopped") == bad


@rounds(1, 5)
@pytest.mark.parametrize("workers", [0, 2])
def test_one_in_five_is_too_many(folder, tmp_path, workers, seed):
    pictures = folder(100)
    bad = spoiled(pictures, "train", 60, seed)
    with pytest.raises(InputError) as caught:
        trained(tmp_path / "run", pictures, options=RunOptions(workers=workers))
    words = str(caught.value)
    assert "the limit of 0.01 of 300" in words
    assert "--max-bad" in words
    assert "\n" not in words
    named = listed(tmp_path / "run")
    assert 4 <= len(named) < len(bad)
    assert set(named) <= set(bad)
    assert sum(name in words for name in bad) >= 4
    assert not (tmp_path / "run" / "model.safetensors").exists()


@rounds(1, 5)
def test_an_evaluation_counts_what_is_left(folder, tmp_path, seed):
    pictures = folder(10)
    trained(tmp_path / "run", pictures)
    model, metadata = load(tmp_path / "run")
    source = open_source(f"folder:{pictures}")
    preprocessing = source.card.preprocessing((1, 32, 32))
    bad = spoiled(pictures, "test", 12, seed)
    told = []
    test = tolerant(source, 12 / 30, lambda name, _: told.append(name)).test
    for protocol in (CENTER, find_protocol("10crop")):
        found = evaluate(
            model, test, preprocessing, metadata["classes"], batch_size=7, protocol=protocol
        )
        assert found.count == 18
        assert not {prediction.name for prediction in found.predictions} & set(bad)
    assert sorted(told) == bad
