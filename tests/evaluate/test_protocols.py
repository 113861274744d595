"""Views are where the papers say, counted one by one; no pixel is needed for that."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convatlas.data.preprocess import Preprocessing
from convatlas.errors import InputError, UnknownNameError
from convatlas.evaluate.protocols import PROTOCOLS, Crops144, Dense, find_protocol
from convatlas.evaluate.views import pictures

ALEXNET = Preprocessing((227, 227), (0.5,) * 3, (0.25,) * 3, resize_shorter=256)
IMAGENET = Preprocessing((224, 224), (0.5,) * 3, (0.25,) * 3, resize_shorter=256)
CIFAR = Preprocessing((32, 32), (0.5,) * 3, (0.25,) * 3)
DIGITS = Preprocessing((32, 32), (0.1,), (0.3,), border=2)


def places(name: str, image: tuple[int, int], preprocessing: Preprocessing) -> set[tuple]:
    views = PROTOCOLS[name].views(image, preprocessing)
    assert len(set(views)) == len(views) or name == "144crop"
    return {(v.resized, v.box[:2], v.box[2:], v.mirrored) for v in views}


def test_ten_crops_of_alexnet_lie_in_the_middle_256_pixels() -> None:
    """Of 300 x 512 pixels: 256 x 436; the square begins at column 90."""
    found = places("10crop", (300, 512), ALEXNET)
    left, right, bottom = 90, 90 + 256 - 227, 256 - 227
    tops = [(0, left), (0, right), (bottom, left), (bottom, right)]
    expected = {((256, 436), place, (227, 227), m) for place in tops for m in (False, True)}
    centre = (round((256 - 227) / 2), round((436 - 227) / 2))
    expected |= {((256, 436), centre, (227, 227), m) for m in (False, True)}
    assert found == expected


def test_144_crops_by_an_independent_listing() -> None:
    """Of 480 x 640 pixels, written down with nested loops."""
    expected = []
    for shorter in (256, 288, 320, 352):
        longer = shorter * 640 // 480
        for start in (0, round((longer - shorter) / 2), longer - shorter):
            ends = (start, start + shorter - 224)
            crops = [(y, x, 224, 224) for y in (0, shorter - 224) for x in ends]
            crops.append(((shorter - 224) // 2, start + (shorter - 224) // 2, 224, 224))
            crops.append((0, start, shorter, shorter))
            expected += [((shorter, longer), crop, m) for crop in crops for m in (False, True)]
    views = PROTOCOLS["144crop"].views((480, 640), IMAGENET)
    assert len(views) == len(expected) == 144
    assert sorted((v.resized, v.box, v.mirrored) for v in views) == sorted(expected)
    assert {v.size for v in views} == {(224, 224)}


def test_upright_images_are_cut_from_above_to_below() -> None:
    lying = PROTOCOLS["144crop"].views((300, 500), IMAGENET)
    upright = PROTOCOLS["144crop"].views((500, 300), IMAGENET)
    turned = {(v.resized[::-1], (v.box[1], v.box[0], *v.box[2:]), v.mirrored) for v in lying}
    assert {(v.resized, v.box, v.mirrored) for v in upright} == turned


def test_dense_shows_the_whole_image_and_its_mirror() -> None:
    assert places("dense", (480, 640), IMAGENET) == {
        ((256, 341), (0, 0), (256, 341), mirrored) for mirrored in (False, True)
    }
    several = find_protocol("dense", (256, 384, 512)).views((480, 640), IMAGENET)
    assert [v.resized for v in several[:3]] == [(256, 341), (384, 512), (512, 682)]
    assert len(several) == 6


def test_multiscale_has_the_sizes_of_the_paper() -> None:
    views = PROTOCOLS["multiscale"].views((640, 480), IMAGENET)
    assert [min(v.size) for v in views] == [224, 256, 384, 480, 640]
    assert all(v.box == (0, 0, *v.resized) and not v.mirrored for v in views)


def test_another_input_has_sizes_in_proportion() -> None:
    inception = Preprocessing((299, 299), (0.5,) * 3, (0.25,) * 3, resize_shorter=342)
    views = PROTOCOLS["144crop"].views((600, 600), inception)
    assert sorted({v.resized[0] for v in views}) == [342, 384, 427, 470]
    small = PROTOCOLS["multiscale"].views((32, 32), CIFAR)
    assert [v.resized for v in small] == [(n, n) for n in (32, 37, 55, 69, 91)]


def test_a_network_of_stretched_images_gets_stretched_ones() -> None:
    wide = Preprocessing((32, 64), (0.5,), (0.25,))
    for name, sizes in (("10crop", {(36, 73)}), ("dense", {(36, 73)})):
        assert {v.resized for v in PROTOCOLS[name].views((500, 300), wide)} == sizes


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["center", "10crop", "144crop"]),
    st.tuples(st.integers(1, 900), st.integers(1, 900)),
    st.sampled_from([ALEXNET, IMAGENET, CIFAR, DIGITS]),
)
def test_every_crop_lies_inside_its_image(
    name: str, image: tuple[int, int], preprocessing: Preprocessing
) -> None:
    views = PROTOCOLS[name].views(image, preprocessing)
    assert len(views) == {"center": 1, "10crop": 10, "144crop": 144}[name]
    inner = tuple(side - 2 * preprocessing.border for side in preprocessing.size)
    for view in views:
        top, left, height, width = view.box
        assert 0 <= top <= top + height <= view.resized[0]
        assert 0 <= left <= left + width <= view.resized[1]
        assert view.size == inner
    mirrored = sum(view.mirrored for view in views)
    assert mirrored == (0 if name == "center" else len(views) / 2)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.sampled_from(
        [
            Preprocessing((16, 16), (0.5,) * 3, (0.25,) * 3, resize_shorter=20),
            Preprocessing((16, 16), (0.5,) * 3, (0.25,) * 3, resize_shorter=16),
            Preprocessing((12, 16), (0.5,), (0.25,), interpolation="bicubic"),
            Preprocessing((16, 16), (0.5,), (0.25,), border=2),
        ]
    ),
)
def test_the_centre_is_what_the_preprocessing_shows(
    size: tuple[int, int], preprocessing: Preprocessing
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    image = Image.fromarray(pixels)
    views = PROTOCOLS["center"].views(size, preprocessing)
    (shown,) = pictures(image, views, preprocessing)
    assert shown.mode == preprocessing.mode
    expected = np.asarray(preprocessing.resized(image)).astype(int)
    assert np.abs(np.asarray(shown) - expected).max() <= 1


def test_pictures_are_the_pixels_of_their_boxes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 256, 3), np.uint8)
    image = Image.fromarray(pixels)
    views = PROTOCOLS["10crop"].views((300, 256), ALEXNET)  # resized to the size it has
    for view, shown in zip(views, pictures(image, views, ALEXNET), strict=True):
        top, left, height, width = view.box
        expected = pixels[top : top + height, left : left + width]
        assert np.array_equal(np.asarray(shown), expected[:, ::-1] if view.mirrored else expected)


def test_a_protocol_is_found_by_its_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean: 10crop"):
        find_protocol("10-crop")
    assert find_protocol("144crop", (300,)) == Crops144((300,))
    assert find_protocol("dense") == Dense()
    with pytest.raises(InputError, match="10crop takes no scales"):
        find_protocol("10crop", (256,))
    with pytest.raises(InputError, match="shorter sides in pixels"):
        find_protocol("dense", (0,))
    with pytest.raises(InputError, match="200 pixels are too small for views of 224"):
        find_protocol("144crop", (200,)).views((400, 400), IMAGENET)
