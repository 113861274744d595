"""Pictures of heat maps: what their pixels must say."""

import numpy as np
import pytest
import torch
from PIL import Image

from convatlas.errors import InputError
from convatlas.visualize.draw import (
    HeatKind,
    colours,
    enlarged,
    figure,
    overlay,
    signed_colours,
)


def lightness(rgb: np.ndarray) -> np.ndarray:
    """Give L* of CIE 1976 for sRGB values."""
    c = rgb.astype(float) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126729, 0.7151522, 0.0721750])
    return 116 * np.where(y > (6 / 29) ** 3, np.cbrt(y), y / (3 * (6 / 29) ** 2) + 4 / 29) - 16


def test_the_colours_grow_evenly_in_lightness() -> None:
    """So equal steps of heat look equal, in grey and to a colour-blind reader too."""
    light = lightness(colours(np.linspace(0, 1, 256)))
    assert (np.diff(light) > 0).mean() > 0.97
    assert np.diff(light).min() > -0.3  # rounding to whole values
    assert np.abs(light - np.linspace(light[0], light[-1], 256)).max() < 6
    assert light[0] < 1
    assert light[-1] > 97


def test_colours_keep_the_shape_and_clip() -> None:
    found = colours(torch.tensor([[-1.0, 0.0], [1.0, 2.0]]))
    assert found.shape == (2, 2, 3)
    assert found.dtype == np.uint8
    assert (found[0, 0] == found[0, 1]).all()
    assert (found[1, 0] == found[1, 1]).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1"])
def test_an_overlay_is_hot_where_the_heat_is(mode: str) -> None:
    heat = torch.zeros(4, 6)
    heat[1, 4] = 1.0
    found = overlay(Image.new(mode, (6, 4)), heat)
    assert found.mode == "RGB"
    assert found.size == (6, 4)
    pixels = np.asarray(found).astype(int).sum(axis=2)
    assert np.unravel_index(pixels.argmax(), pixels.shape) == (1, 4)
    assert (pixels > 20).sum() == 1


def test_heat_of_another_size_is_resized_to_the_image() -> None:
    heat = torch.zeros(2, 2)
    heat[0, 1] = 1.0
    pixels = np.asarray(overlay(Image.new("L", (30, 20)), heat)).astype(int).sum(axis=2)
    assert pixels.shape == (20, 30)
    assert pixels[0, 29] == pixels.max()
    assert pixels[19, 0] == pixels.min()


def test_a_heat_map_has_two_axes() -> None:
    with pytest.raises(InputError, match=r"a heat map is \(H, W\); got \(1, 4, 4\)"):
        overlay(Image.new("L", (4, 4)), torch.zeros(1, 4, 4))


def test_small_images_grow_by_whole_pixels_and_large_ones_shrink() -> None:
    tiny = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    grown = enlarged(tiny, 10)
    assert grown.size == (9, 6)
    assert (np.asarray(grown)[::3, ::3] == np.asarray(tiny)).all()
    assert set(np.asarray(grown).ravel().tolist()) == set(range(6))
    assert enlarged(Image.new("RGB", (900, 3)), 300).size == (300, 1)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (32, 32), (500, 300), (400, 3), (3, 400)])
def test_a_figure_fits_every_shape(size: tuple[int, int]) -> None:
    title = "a class name, with a synonym, " * 6
    made = figure(Image.new("RGB", size), torch.rand(7, 7), title, "network, layer").image()
    width, height = made.size
    assert 560 <= width <= 1200
    assert 200 <= height <= 1200
    pixels = np.asarray(made)
    frame = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    assert all((edge == 255).all() for edge in frame)  # nothing is cut off at the margin


def test_a_figure_shows_the_picture_and_its_map() -> None:
    made = np.asarray(
        figure(Image.new("RGB", (32, 32), (0, 128, 255)), torch.ones(4, 4), "t").image()
    )
    assert (made == (0, 128, 255)).all(axis=2).sum() == 448 * 448
    assert (made == colours(1.0)).all(axis=2).sum() >= 22  # the top of the colour bar


def heading(title: str) -> np.ndarray:
    """Give the pixels above the pictures of a figure with this title."""
    found = figure(Image.new("L", (8, 8)), torch.zeros(2, 2), title).image()
    return np.asarray(found.convert("L"))[: found.height - 448 - 40 - 46]


@pytest.mark.parametrize("letter", ["ä", "É", "š"])
def test_letters_with_accents_are_no_empty_boxes(letter: str) -> None:
    """With a font of the system as they are, without one by their base letters."""
    lacking = "\uffff"
    assert (heading(letter) != heading(lacking)).any()


def test_a_long_name_is_broken_before_the_margin() -> None:
    short, long = heading("x"), heading(150 * "x")
    assert len(long) > len(short)
    assert (long[:, -30:] == 255).all()
    assert (long[:, :-30] < 128).sum() > 140 * (short < 128).sum()


def test_signed_colours_are_grey_at_zero_and_grow_lighter() -> None:
    ramp = signed_colours(np.linspace(-1, 1, 101)).astype(float)
    assert np.ptp(ramp[50]) < 8  # grey
    assert ramp[0, 2] > ramp[0, 0] + 20  # blue against
    assert ramp[-1, 0] > ramp[-1, 2] + 100  # yellow for
    assert (np.diff(ramp @ (0.2126, 0.7152, 0.0722)) > 0).all()


@pytest.mark.parametrize("kind", ["evidence", "pixels", "signed"])
def test_each_kind_of_heat_has_its_colours(kind: HeatKind) -> None:
    heat = torch.linspace(0, 1, 64).reshape(8, 8)
    drawn = figure(Image.new("L", (8, 8), 128), heat, "title", "subtitle", kind)
    last = signed_colours(1.0) if kind == "signed" else colours(1.0)
    found = drawn.image().getcolors(maxcolors=10**6)
    assert found is not None
    assert tuple(last.tolist()) in {colour for _, colour in found}  # at least in the bar
