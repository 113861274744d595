"""Pictures to tensors and back, against plain numpy and Pillow."""

import json
import math
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from convatlas.data.card import IMAGENET_MEAN, IMAGENET_STD, LECUN_MEAN, LECUN_STD, DataCard
from convatlas.data.images import read_image
from convatlas.data.preprocess import Preprocessing
from convatlas.errors import InputError

GREY = Preprocessing((8, 6), (0.2,), (0.5,))
COLOUR = Preprocessing((8, 6), IMAGENET_MEAN, IMAGENET_STD)


def picture(height: int, width: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def test_a_tensor_is_the_formula():
    image = picture(8, 6)
    x = COLOUR.tensor(image)
    assert x.shape == (3, 8, 6)
    assert x.dtype == torch.float32
    assert x.is_contiguous()
    expected = (np.asarray(image) / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    torch.testing.assert_close(x, torch.tensor(expected, dtype=torch.float32).permute(2, 0, 1))


def test_many_at_once_are_the_same_bytes():
    images = [picture(8, 6, seed=seed) for seed in range(5)]
    together = COLOUR.normalized(np.stack([np.asarray(image) for image in images]))
    assert torch.equal(together, torch.stack([COLOUR.tensor(image) for image in images]))


def test_black_and_white_are_lecuns():
    digits = Preprocessing((1, 2), (LECUN_MEAN,), (LECUN_STD,))
    x = digits.tensor(Image.fromarray(np.array([[0, 255]], np.uint8)))
    torch.testing.assert_close(x, torch.tensor([[[-0.1, 1.175]]]))


means = st.floats(0, 1)
stds = st.floats(0.01, 2)


@settings(max_examples=50, deadline=None)
@given(
    pixels=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    mean=means,
    std=stds,
)
def test_a_grey_picture_comes_back(pixels, mean, std):
    image = Image.fromarray(pixels)
    preprocessing = Preprocessing(pixels.shape, (mean,), (std,))
    back = preprocessing.image(preprocessing.tensor(image))
    assert back.mode == "L"
    assert np.array_equal(back, pixels)


@settings(max_examples=50, deadline=None)
@given(
    pixels=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))),
    mean=st.tuples(means, means, means),
    std=st.tuples(stds, stds, stds),
)
def test_a_coloured_picture_comes_back(pixels, mean, std):
    preprocessing = Preprocessing(pixels.shape[:2], mean, std)
    back = preprocessing.image(preprocessing.tensor(Image.fromarray(pixels)))
    assert back.mode == "RGB"
    assert np.array_equal(back, pixels)


def test_back_to_a_picture_cuts_what_is_out_of_range():
    x = torch.tensor([[[-100.0, 100.0]]], requires_grad=True)
    assert np.asarray(GREY.image(x)).tolist() == [[0, 255]]


def assert_alike(one: Image.Image, other: Image.Image, mean: float = 0.3) -> None:
    """Compare with Pillow's resizing; that of colours rounds some values the other way."""
    assert one.size == other.size
    difference = np.abs(np.asarray(one, int) - np.asarray(other, int))
    assert difference.max() <= 2
    assert difference.mean() < mean


def test_photos_are_those_of_torchvision_within_a_thirtieth_of_a_level(data_root):
    # its Resize(256), CenterCrop(224) on Pillow; the sizes are tested above
    preprocessing = Preprocessing((224, 224), IMAGENET_MEAN, IMAGENET_STD, resize_shorter=256)
    for path in sorted((data_root / "imagenet-samples" / "images").iterdir())[:12]:
        image = read_image(path)
        factor = 256 / min(image.size)
        width, height = (max(256, int(factor * side)) for side in image.size)
        left, top = round((width - 224) / 2), round((height - 224) / 2)
        expected = image.resize((width, height), Image.Resampling.BILINEAR)
        expected = expected.crop((left, top, left + 224, top + 224))
        assert_alike(preprocessing.resized(image), expected, mean=0.03)


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (3, 9_000)])
def test_a_ribbon_takes_no_more_memory_than_its_crop(size):
    preprocessing = Preprocessing((64, 64), IMAGENET_MEAN, IMAGENET_STD, resize_shorter=256)
    ribbon = Image.new("RGB", size, (10, 20, 30))
    tracemalloc.start()
    pixels = preprocessing.pixels(ribbon)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
    assert (pixels == (10, 20, 30)).all()


def test_stretches():
    image = picture(20, 30)
    resized = COLOUR.resized(image)
    assert_alike(resized, image.resize((6, 8), Image.Resampling.BILINEAR))
    assert torch.equal(COLOUR(image), COLOUR.tensor(resized))


@pytest.mark.parametrize(
    ("size", "resized", "box"),
    [
        # width, height; worked out by hand after torchvision's Resize(256) and CenterCrop(224)
        ((500, 375), (341, 256), (58, 16, 282, 240)),
        ((375, 500), (256, 341), (16, 58, 240, 282)),
        ((100, 100), (256, 256), (16, 16, 240, 240)),
        ((224, 224), (256, 256), (16, 16, 240, 240)),
        ((257, 1000), (256, 996), (16, 386, 240, 610)),
    ],
)
def test_resizes_the_shorter_side_and_crops_the_centre(size, resized, box):
    image = picture(size[1], size[0])
    preprocessing = Preprocessing((224, 224), IMAGENET_MEAN, IMAGENET_STD, resize_shorter=256)
    expected = image.resize(resized, Image.Resampling.BILINEAR).crop(box)
    assert_alike(preprocessing.resized(image), expected)
    grey = Preprocessing((224, 224), (0.5,), (0.5,), resize_shorter=256)
    expected = image.convert("L").resize(resized, Image.Resampling.BILINEAR).crop(box)
    assert grey.resized(image).tobytes() == expected.tobytes()


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_interpolates_as_asked(interpolation):
    image = picture(8, 8, "L")
    preprocessing = Preprocessing((32, 32), (0.5,), (0.5,), interpolation=interpolation)
    expected = image.resize((32, 32), getattr(Image.Resampling, interpolation.upper()))
    assert preprocessing.resized(image).tobytes() == expected.tobytes()


def test_a_border_leaves_the_pixels_alone():
    image = picture(28, 28, "L")
    preprocessing = Preprocessing((32, 32), (0.5,), (0.5,), border=2)
    assert np.array_equal(preprocessing.resized(image), np.pad(np.asarray(image), 2))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("preprocessing", [GREY, COLOUR], ids=["grey", "colour"])
def test_takes_pictures_of_any_mode(mode, preprocessing):
    x = preprocessing(Image.new(mode, (10, 10)))
    assert x.shape == (len(preprocessing.mean), 8, 6)
    assert x.isfinite().all()


def test_a_tensor_needs_the_exact_size_and_mode():
    with pytest.raises(InputError, match=r"8x6 in mode L, got 6x8 in mode RGB"):
        GREY.tensor(picture(6, 8))


@pytest.mark.parametrize("shape", [(8, 6), (3, 8, 6), (1, 1, 8, 6)])
def test_a_picture_needs_one_tensor_of_its_channels(shape):
    with pytest.raises(InputError, match="expected a tensor"):
        GREY.image(torch.zeros(shape))


@settings(max_examples=50, deadline=None)
@given(
    size=st.tuples(st.integers(8, 300), st.integers(8, 300)),
    channels=st.sampled_from((1, 3)),
    shorter=st.none() | st.integers(300, 500),
    interpolation=st.sampled_from(("nearest", "bilinear", "bicubic")),
    border=st.integers(0, 3),
    data=st.data(),
)
def test_survives_json(size, channels, shorter, interpolation, border, data):
    preprocessing = Preprocessing(
        size,
        data.draw(st.tuples(*[means] * channels)),
        data.draw(st.tuples(*[stds] * channels)),
        shorter,
        interpolation,
        border,
    )
    text = json.dumps(preprocessing.to_dict())
    assert Preprocessing.from_dict(json.loads(text)) == preprocessing


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sise": [1, 1]}, "no field 'sise'; did you mean: size"),
        ({"size": 32}, "size takes a tuple of whole numbers; got 32"),
        ({"size": [8]}, "size takes a tuple of whole numbers"),
        ({"size": [8.5, 6]}, "size takes a tuple of whole numbers"),
        ({"size": [10**9, 10**9]}, "no picture fits"),
        ({"size": [0, 6]}, "no picture fits"),
        ({"size": ["8", "6"]}, "size takes a tuple of whole numbers"),
        ({"mean": ["dark"]}, "mean takes a tuple of numbers"),
        ({"mean": [math.nan]}, "finite mean"),
        ({"std": [math.inf]}, "above 0"),
        ({"resize_shorter": "8"}, "resize_shorter takes a whole number or None"),
        ({"border": None}, "border takes a whole number"),
        ({"mean": [0.5, 0.5]}, "1 or 3 channels"),
        ({"std": [0.5, 0.5, 0.5]}, "1 or 3 channels"),
        ({"std": [0.0]}, "above 0"),
        ({"interpolation": "linear"}, "'bicubic' or 'area'; got 'linear'"),
        ({"resize_shorter": 7}, "too small for a crop of 8x6"),
        ({"border": 3}, "border of 3"),
        ({"border": -1}, "border of -1"),
    ],
)
def test_refuses_what_cant_be(change, words):
    with pytest.raises(InputError, match=words):
        Preprocessing.from_dict(GREY.to_dict() | change)


def test_refuses_what_is_missing():
    with pytest.raises(InputError, match="mean"):
        Preprocessing.from_dict({"size": [8, 8], "std": [1.0]})


def card(channels: int, **changes) -> DataCard:
    values = {
        "name": "test",
        "title": "Test",
        "classes": ("a", "b"),
        "channels": channels,
        "image_size": (28, 28),
        "mean": (0.1,) if channels == 1 else IMAGENET_MEAN,
        "std": (0.3,) if channels == 1 else IMAGENET_STD,
        "interpolation": "bicubic",
        "citation": "",
        "licence": "",
        "url": "",
    }
    return DataCard(**(values | changes))


def test_a_card_repeats_grey_for_colour():
    preprocessing = card(1).preprocessing((3, 20, 10), resize_shorter=24)
    assert preprocessing == Preprocessing((20, 10), (0.1,) * 3, (0.3,) * 3, 24, "bicubic")


def test_a_card_weighs_colours_for_grey():
    preprocessing = card(3).preprocessing((1, 20, 10))
    white = Image.new("RGB", (10, 20), tuple(round(255 * mean) for mean in IMAGENET_MEAN))
    assert abs(preprocessing(white)).max() < 0.02


def test_a_card_centres_in_one_size_only():
    centred = card(1, centred_in=(32, 32))
    assert centred.preprocessing((1, 32, 32)).border == 2
    assert centred.preprocessing((1, 64, 64)).border == 0


def test_a_card_refuses_other_channels():
    with pytest.raises(InputError, match="takes 4"):
        card(1).preprocessing((4, 32, 32))
