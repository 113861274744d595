"""Picture files as users have them: odd, broken, hostile. A plain picture or one clear line."""

import io
import os
import struct
import subprocess
import sys
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convatlas.data.images import read_image, read_image_bytes
from convatlas.data.modes import plain
from convatlas.errors import FileError, InputError

# those of the stress images that show something; the others must be refused
READABLE = {
    "16_bit_binary.pgm": ("L", (20, 100)),
    "16bit.cropped.tif": ("L", (64, 64)),
    "apng_dispose_op_none.png": ("RGB", (128, 64)),
    "dispose_bgnd.gif": ("RGB", (100, 100)),
    "exif_typeerror.jpg": ("RGB", (800, 531)),
    "frame_size.mpo": ("RGB", (56, 70)),
    "hopper.gif": ("RGB", (128, 128)),
    "hopper.jpg": ("RGB", (128, 128)),
    "hopper.webp": ("RGB", (128, 128)),
    "hopper_16bit.pgm": ("L", (128, 128)),
    "hopper_1bit.pbm": ("L", (128, 128)),
    "hopper_gray.jpg": ("L", (128, 128)),
    **{f"hopper_orientation_{i}.jpg": ("RGB", (128, 128)) for i in range(2, 9)},
    "invalid-exif.jpg": ("RGB", (200, 200)),
    "junk_jpeg_header.jpg": ("RGB", (1024, 768)),
    "la.tga": ("L", (64, 64)),
    **{f"Landscape_{i}.jpg": ("RGB", (1800, 1200)) for i in range(9)},
    "multipage.tiff": ("RGB", (10, 10)),
    "p_trns_single.png": ("RGB", (64, 64)),
    "palette_sepia.png": ("RGB", (128, 128)),
    "pil123rgba.png": ("RGB", (162, 150)),
    "pil_sample_cmyk.jpg": ("RGB", (100, 100)),
    "tiff_16bit_RGB.tiff": ("RGB", (100, 40)),
    "transparent.png": ("RGB", (200, 150)),
}


def photo(height: int = 40, width: int = 60) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows * 5, columns * 4, (rows + columns) * 2], -1) % 256
    return Image.fromarray(pixels.astype(np.uint8))


def saved(folder: Path, image: Image.Image, name: str, **options) -> Path:
    image.save(folder / name, **options)
    return folder / name


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


def test_reads_or_refuses_every_stress_image(data_root):
    files = [path for path in sorted((data_root / "stress-images").rglob("*")) if path.is_file()]
    seen = set()
    for path in files:
        begun = time.perf_counter()
        if path.name in READABLE:
            image = read_image(path)
            assert (image.mode, image.size) == READABLE[path.name], path.name
            assert image.getextrema() != (0, 0), path.name
            seen.add(path.name)
        else:
            with pytest.raises(FileError) as caught:
                read_image(path)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)
        assert time.perf_counter() - begun < 2, path.name
    assert seen == set(READABLE)


def test_the_manifest_lists_what_was_tried(data_root):
    lines = (data_root / "stress-images" / "MANIFEST.tsv").read_text().splitlines()[1:]
    pictures = {name for line in lines if "/" in (name := line.partition("\t")[0])}
    assert len(pictures) == 45
    assert {Path(name).name for name in pictures} - set(READABLE) == {
        "broken.png", "broken_data_stream.png", "decompression_bomb.gif", "negative_size.ppm",
        "truncated_image.png", "truncated_jpeg.jpg", "zero_width.gif",
    }  # fmt: skip


def test_reads_the_same_from_memory(data_root):
    for path in sorted((data_root / "stress-images" / "pillow").iterdir()):
        try:
            expected: object = read_image(path).tobytes()
        except FileError as error:
            expected = str(error)
        try:
            found: object = read_image_bytes(path.read_bytes(), str(path)).tobytes()
        except FileError as error:
            found = str(error)
        assert found == expected, path.name


def test_many_threads_read_as_one_does(data_root):
    def outcome(path: Path) -> bytes | str:
        try:
            return read_image(path).tobytes()
        except FileError as error:
            return str(error)

    paths = sorted((data_root / "stress-images" / "pillow").iterdir())
    expected = [outcome(path) for path in paths]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(outcome, paths * 4)) == expected * 4
    with pytest.warns(UserWarning, match="elsewhere"):
        warnings.warn("elsewhere", UserWarning, stacklevel=1)


def test_all_orientations_look_alike(data_root):
    for pattern in ("exif-orientation/Landscape_?.jpg", "pillow/hopper_orientation_?.jpg"):
        paths = sorted((data_root / "stress-images").glob(pattern))
        assert len(paths) >= 7
        upright = read_image(paths[-1])
        for path in paths:
            assert difference(read_image(path), upright) < 8, path.name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_upright(tmp_path, orientation):
    upright = photo()
    stored = {
        1: lambda image: image,
        2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
        4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
        6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
        7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
        8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, stored, "turned.png", exif=exif)
    assert read_image(path).tobytes() == upright.tobytes()


def test_turns_upright_by_a_broken_exif_block(tmp_path):
    entries = (
        struct.pack("<HHII", 0x0112, 3, 1, 6),  # orientation 6
        struct.pack("<HHI4s", 0x829A, 2, 4, b"odd\0"),  # exposure time: no text may stand here
        struct.pack("<HHII", 0x8769, 4, 1, 9999),  # a block that lies outside
    )
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 3) + b"".join(entries) + b"\0" * 4
    path = saved(tmp_path, photo().transpose(Image.Transpose.ROTATE_90), "odd.png", exif=exif)
    assert read_image(path).tobytes() == photo().tobytes()
    path = saved(tmp_path, photo(), "noise.png", exif=b"Exif\0\0" + bytes(range(100)))
    assert read_image(path).tobytes() == photo().tobytes()


@pytest.mark.parametrize(
    ("mode", "name"), [("RGB", "a.png"), ("RGB", "a.bmp"), ("L", "a.png"), ("RGB", "A.TIFF")]
)
def test_reads_plain_pictures_exactly(tmp_path, mode, name):
    image = photo().convert(mode)
    read = read_image(str(saved(tmp_path, image, name)))
    assert (read.mode, read.tobytes()) == (mode, image.tobytes())


def test_converts_cmyk(tmp_path):
    path = saved(tmp_path, photo().convert("CMYK"), "print.jpg", quality=95)
    assert difference(read_image(path), photo()) < 3


def test_scales_sixteen_bits(tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    for name in ("deep.png", "deep.tiff", "deep.pgm"):
        assert np.array_equal(read_image(saved(tmp_path, deep, name)), grey), name


def test_scales_floating_point_greys(tmp_path):
    values = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    read = read_image(saved(tmp_path, Image.fromarray(values), "float.tiff"))
    assert np.array_equal(read, np.arange(256).reshape(16, 16))


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0.0, 300.0]], np.float32),
        np.array([[np.nan, 0.5]], np.float32),
        np.array([[0, 70_000]], np.int32),
        np.array([[-1, 5]], np.int32),
    ],
)
def test_refuses_greys_whose_white_nobody_knows(tmp_path, values):
    image = Image.fromarray(values)
    with pytest.raises(InputError, match="greys lie in"):
        plain(image)
    with pytest.raises(FileError, match=r"odd\.tiff .*greys lie in"):
        read_image(saved(tmp_path, image, "odd.tiff"))


def test_shows_transparent_parts_on_white(tmp_path):
    ink = np.zeros((4, 4, 4), np.uint8)
    ink[:, :2, 3] = 255  # left: opaque black; right: transparent black
    expected = np.full((4, 4), 255)
    expected[:, :2] = 0
    rgba = Image.fromarray(ink)
    for image, name in (
        (rgba, "rgba.png"),
        (rgba.convert("LA"), "la.png"),
        (rgba, "rgba.webp"),
        (rgba, "rgba.gif"),
    ):
        options = {"lossless": True} if name.endswith("webp") else {}
        assert np.array_equal(
            read_image(saved(tmp_path, image, name, **options)).convert("L"), expected
        )
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 200, 0, 0])
    palette.putpixel((1, 0), 1)
    read = read_image(saved(tmp_path, palette, "p.png", transparency=0))
    assert [read.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (200, 0, 0)]


def test_reads_one_bit_and_the_first_frame(tmp_path):
    bits = Image.new("1", (3, 1))
    bits.putpixel((1, 0), 1)
    assert np.asarray(read_image(saved(tmp_path, bits, "bits.png"))).tolist() == [[0, 255, 0]]
    frames = [Image.new("RGB", (5, 5), colour) for colour in ("red", "blue")]
    path = saved(tmp_path, frames[0], "moves.gif", save_all=True, append_images=frames[1:])
    assert read_image(path).getpixel((2, 2)) == (255, 0, 0)


def jpeg() -> bytes:
    buffer = io.BytesIO()
    photo(64, 64).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@settings(max_examples=60, deadline=None)
@given(part=st.floats(0, 0.97))
def test_refuses_a_cut_off_jpeg(tmp_path_factory, part):
    content = jpeg()
    path = tmp_path_factory.mktemp("cut") / "cut.jpg"
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(FileError, match=r"cut\.jpg"):
        read_image(path)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(("PNG", "GIF", "TIFF", "BMP", "WEBP", "JPEG", "PPM", "TGA", "ICO")),
    where=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20),
    value=st.integers(0, 255),
    keep=st.floats(0.2, 1),
)
def test_damage_gives_a_picture_or_one_clear_line(tmp_path_factory, kind, where, value, keep):
    buffer = io.BytesIO()
    photo(16, 16).save(buffer, kind)
    content = bytearray(buffer.getvalue())
    for place in where:
        content[int(place * min(len(content), 200))] = value
    path = tmp_path_factory.mktemp("damaged") / "damaged"
    path.write_bytes(content[: int(keep * len(content))])
    try:
        image, message = read_image(path), ""
    except FileError as error:
        image, message = None, str(error)
    if image is None:
        assert str(path) in message
        assert "\n" not in message
    else:
        assert image.mode in ("L", "RGB")


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (13_378, 13_378)])
def test_refuses_too_many_pixels(tmp_path, width, height):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(width, height))
    with pytest.raises(FileError, match=r"bomb\.png has .*pixels"):
        read_image(path)


def test_the_limit_of_pixels_does_not_hang_on_pillows(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(60_000, 60_000))
    with pytest.raises(FileError, match=r"bomb\.png has .*pixels"):
        read_image(path)


def test_says_what_is_wrong_with_the_path(tmp_path):
    with pytest.raises(FileError, match=r"there is no file .*nothing\.png"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(FileError, match="is a folder"):
        read_image(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(FileError, match="not a regular file"):
        read_image(tmp_path / "pipe.png")
    with pytest.raises(FileError, match="can't read"):
        read_image("a\0b.png")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no picture"),
        (b"Dear reader,\n" * 100, "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "PostScript"),
    ],
)
def test_refuses_what_is_no_picture(tmp_path, content, words):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(content)
    with pytest.raises(FileError, match=rf"holiday\.jpg is {words}"):
        read_image(path)


def test_needs_little_memory_for_hostile_files(tmp_path, data_root):
    (tmp_path / "bomb.png").write_bytes(png_that_claims(12_000, 12_000))
    paths = [str(p) for p in (data_root / "stress-images" / "pillow").iterdir()]
    paths.append(str(tmp_path / "bomb.png"))
    code = """
import re, sys
from pathlib import Path
from convatlas.data.images import read_image
from convatlas.errors import FileError
for path in sys.argv[1:]:
    try:
        read_image(path)
    except FileError:
        continue
# not ru_maxrss: it begins with what the parent held
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *paths],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    assert int(run.stdout) < 700_000  # kilobytes
