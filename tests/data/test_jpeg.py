"""JPEG files decoded into arrays: the values are Pillow's, and what is odd is left to Pillow."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from convatlas.data import jpeg
from convatlas.data.augment import AreaCrop, Flip
from convatlas.data.images import read_image, read_image_bytes, read_view, read_view_bytes
from convatlas.data.loader import batches
from convatlas.data.preprocess import Preprocessing
from convatlas.data.sources import open_source
from convatlas.data.tolerant import tolerant
from convatlas.data.view import as_picture
from convatlas.errors import FileError

pytestmark = pytest.mark.skipif(jpeg.library() is None, reason="needs the extra fast")


def photo(height: int, width: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Give something that is neither flat nor mere noise."""
    rng = np.random.default_rng(seed)
    shape = (2 + height // 8, 2 + width // 8, 3)
    small = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def stored(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def outcome(read, *what) -> tuple:
    """Give the picture that is read, or the error."""
    try:
        image = as_picture(read(*what))
    except FileError as error:
        return "error", str(error)
    return image.mode, image.size, image.tobytes()


@settings(max_examples=60)
@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    mode=st.sampled_from(["L", "RGB"]),
    quality=st.integers(1, 100),
    subsampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    progressive=st.booleans(),
    restart=st.integers(0, 5),
)
def test_the_values_are_those_of_pillow(size, mode, quality, subsampling, progressive, restart):
    content = stored(
        photo(*size, mode, seed=quality),
        quality=quality,
        subsampling=subsampling,
        progressive=progressive,
        restart_marker_blocks=restart,
    )
    view = read_view_bytes(content, "x")
    assert isinstance(view, np.ndarray)
    assert view.shape == (*size, len(mode))
    assert outcome(lambda: view) == outcome(read_image_bytes, content, "x")


@settings(max_examples=60)
@given(data=st.data(), progressive=st.booleans())
def test_of_damaged_files_it_says_what_pillow_says(data, progressive):
    content = bytearray(stored(photo(40, 50), progressive=progressive))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(1, len(content)))])
    assert outcome(read_view_bytes, damaged, "x") == outcome(read_image_bytes, damaged, "x")


def test_every_stress_image_is_read_or_refused_alike(data_root):
    files = [path for path in (data_root / "stress-images").rglob("*") if path.is_file()]
    arrays = 0
    for path in files:
        found = outcome(read_view, path)
        assert found == outcome(read_image, path), path.name
        arrays += found[0] != "error" and isinstance(read_view(path), np.ndarray)
    assert arrays >= 4  # most others are turned by EXIF


def test_real_photographs_have_the_same_values(data_root):
    files = sorted((data_root / "imagenet-samples").rglob("*.[jJ][pP]*[gG]"))[:30]
    assert len(files) == 30
    for path in files:
        assert isinstance(read_view(path), np.ndarray)
        assert outcome(read_view, path) == outcome(read_image, path), path.name


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return stored(photo(8, 9), exif=exif)


@pytest.mark.parametrize(
    "content",
    [
        turned(),
        stored(photo(8, 9, "CMYK")),
        stored(photo(8, 9), keep_rgb=True),
        stored(photo(8, 9), "MPO", save_all=True, append_images=[photo(8, 9)]),
        stored(photo(8, 9), "PNG"),
        stored(photo(8, 9))[:-10] + b"\0" * 20 + b"\xff\xd9",
    ],
    ids=["turned", "cmyk", "rgb", "several", "png", "junk"],
)
def test_what_is_odd_is_left_to_pillow(content, tmp_path):
    (tmp_path / "x").write_bytes(content)
    assert isinstance(read_view(tmp_path / "x"), Image.Image)
    assert outcome(read_view, tmp_path / "x") == outcome(read_image, tmp_path / "x")


@pytest.mark.parametrize("spoil", ["folder", "missing", "empty", "locked"])
def test_what_is_no_file_is_refused_alike(tmp_path, spoil):
    path = tmp_path / "x.jpg"
    if spoil == "folder":
        path.mkdir()
    elif spoil != "missing":
        path.write_bytes(b"")
    if spoil == "locked":
        path.chmod(0)
    assert outcome(read_view, path) == outcome(read_image, path)
    assert outcome(read_view, path)[0] == "error"


def test_a_huge_file_is_not_read_into_memory(tmp_path):
    path = tmp_path / "huge.jpg"
    path.write_bytes(stored(photo(8, 9)))
    os.truncate(path, jpeg.MOST_BYTES + 1)
    assert jpeg.read_jpeg(path) is None
    assert outcome(read_view, path) == outcome(read_image, path)


def test_without_the_library_pillow_decodes(monkeypatch, tmp_path):
    (tmp_path / "x.jpg").write_bytes(stored(photo(8, 9)))
    monkeypatch.setattr(jpeg, "library", lambda: None)
    assert isinstance(read_view(tmp_path / "x.jpg"), Image.Image)
    assert jpeg.decoders()["simplejpeg"] is None


def test_it_is_used_beside_libjpeg_turbo_alone(monkeypatch):
    assert jpeg.decoders()["simplejpeg"]
    monkeypatch.setattr(features, "check_feature", lambda name: name != "libjpeg_turbo")
    assert jpeg.library.__wrapped__() is None


@pytest.fixture
def source(tmp_path):
    for label in ("ant", "bee"):
        (tmp_path / label).mkdir()
        for i in range(10):
            grey = label == "bee" and i % 2
            content = turned() if i == 3 else stored(photo(40 + i, 50, "L" if grey else "RGB", i))
            (tmp_path / label / f"{i}.{'png' if i == 5 else 'jpg'}").write_bytes(content)
    (tmp_path / "ant" / "7.jpg").write_bytes(b"\xff\xd8\xff no picture")
    return tolerant(open_source(f"folder:{tmp_path}"), limit=0.5)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("augment", [(), (AreaCrop(), Flip())])
def test_batches_have_the_same_bytes(monkeypatch, source, mode, augment):
    count = len(mode)
    preprocessing = Preprocessing((16, 16), (0.4,) * count, (0.3,) * count, resize_shorter=20)

    def images(workers: int) -> list[bytes]:
        options = {"augment": augment, "seed": 3, "shuffle": True, "workers": workers}
        found = batches(source.train, preprocessing, 4, **options)
        return [batch.images.numpy().tobytes() for batch in found]

    fast = images(0)
    assert images(2) == fast
    with monkeypatch.context() as without:
        without.setattr(jpeg, "library", lambda: None)
        assert images(0) == fast


def test_tolerant_splits_read_views_too(tmp_path: Path, source):
    train = source.train
    assert isinstance(train.view(0), np.ndarray | Image.Image)
    for i in range(len(train)):
        assert outcome(train.view, i) == outcome(train.image, i)
