"""Changes of arrays are those of pictures, and the helpers do the same for both."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convatlas.data.augment import (
    AreaCrop,
    CenterCrop,
    CornerCrop,
    Flip,
    PadCrop,
    PcaColor,
    RandomCrop,
    Resize,
    ScaleJitter,
    ViewChange,
)
from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import ArraySplit, view_of
from convatlas.data.view import as_picture, as_pixels, cut, mode_of, size_of

OPS = (
    Resize(),
    Resize("nearest"),
    Resize(side=9),
    Flip(),
    PadCrop(2),
    PadCrop(3, "mirror"),
    PadCrop(0),
    CenterCrop(11),
    RandomCrop(),
    CornerCrop(),
    AreaCrop(interpolations=("nearest", "bilinear", "bicubic", "area")),
    ScaleJitter(5, 40),
    PcaColor(0.5),
    PcaColor(50.0),
)


def pixels(height: int, width: int, mode: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, len(mode)), dtype=np.uint8)


@settings(max_examples=80)
@given(
    op=st.sampled_from(OPS),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    wanted=st.tuples(st.integers(4, 20), st.integers(4, 20)),
    mode=st.sampled_from(["L", "RGB"]),
    seed=st.integers(0, 2**32),
)
def test_a_change_of_an_array_is_that_of_the_picture(op, size, wanted, mode, seed):
    assert isinstance(op, ViewChange)
    given_pixels = pixels(*size, mode, seed)
    before = given_pixels.copy()
    picture = op(as_picture(given_pixels), wanted, np.random.default_rng(seed))
    view = op.on_view(given_pixels, wanted, np.random.default_rng(seed))
    assert isinstance(picture, Image.Image)
    assert np.array_equal(as_pixels(view), as_pixels(picture))
    assert np.array_equal(given_pixels, before)


@pytest.mark.parametrize("op", OPS, ids=repr)
def test_an_array_that_can_not_be_written_to_will_do(op):
    locked = pixels(20, 22, "RGB")[::-1]
    locked.setflags(write=False)
    view = op.on_view(locked, (12, 12), np.random.default_rng(1))
    assert as_pixels(view).dtype == np.uint8


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_helpers_say_the_same_of_both(mode):
    array = pixels(5, 7, mode)
    picture = as_picture(array)
    for view in (array, picture):
        assert size_of(view) == (5, 7)
        assert mode_of(view) == mode
        assert np.array_equal(as_pixels(view), array)
        assert np.array_equal(as_pixels(cut(view, 1, 2, 3, 4)), array[1:4, 2:6])


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("resize_shorter", [None, 9])
@pytest.mark.parametrize("size", [(20, 31), (8, 8), (300, 5)])
def test_preprocessing_takes_both(mode, resize_shorter, size):
    array = pixels(*size, mode)
    for channels in (1, 3):
        preprocessing = Preprocessing((8, 8), (0.5,) * channels, (0.5,) * channels, resize_shorter)
        found = preprocessing.pixels(array)
        assert found.shape == (8, 8, channels)
        assert np.array_equal(found, preprocessing.pixels(as_picture(array)))


def test_a_split_without_views_gives_pictures():
    split = ArraySplit(np.zeros((2, 4, 4), np.uint8), np.zeros(2), np.arange(2), "digit")
    assert isinstance(view_of(split, 1), Image.Image)
