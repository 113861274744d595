"""Pictures of masks: numbers stay numbers, colours tell classes apart."""

import io

import numpy as np
import pytest
from PIL import Image

from convatlas.errors import InputError
from convatlas.visualize.masks import (
    FALSE,
    MISSED,
    edges,
    mask_image,
    mistakes,
    overlay_mask,
    palette,
    side_by_side,
)

CLASSES = np.array([[0, 1, 1, 2], [0, 1, 1, 2], [0, 0, 0, 255]], np.uint8)


def test_a_mask_read_back_holds_the_numbers_of_the_classes():
    file = io.BytesIO()
    mask_image(CLASSES).save(file, format="PNG")
    image = Image.open(file)
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image), CLASSES)
    shown = np.asarray(image.convert("RGB"))
    assert tuple(shown[0, 0]) == (0, 0, 0)
    assert tuple(shown[2, 3]) == (255, 255, 255)


def test_all_colours_differ():
    assert len({tuple(colour) for colour in palette()}) == 256


def test_an_overlay_leaves_class_0_as_it_is_and_draws_edges_whole():
    image = Image.new("L", (4, 3), 100)
    shown = np.asarray(overlay_mask(image, CLASSES))
    assert (shown[CLASSES == 0] == 100).all()
    drawn = edges(CLASSES) & (CLASSES != 0)
    assert np.array_equal(shown[drawn], palette()[CLASSES[drawn]])


def test_edges_have_a_neighbour_of_another_class():
    square = np.zeros((5, 5), np.uint8)
    square[1:4, 1:4] = 1
    inside = np.zeros((5, 5), bool)
    inside[2, 2] = inside[0, 0] = inside[0, 4] = inside[4, 0] = inside[4, 4] = True
    assert np.array_equal(edges(square), ~inside)


def test_mistakes_are_blue_and_orange_and_pixels_without_a_class_are_none():
    truth = np.array([[0, 0, 1, 1, 255]], np.uint8)
    found = np.array([[0, 1, 1, 0, 1]], np.uint8)
    shown = np.asarray(mistakes(Image.new("RGB", (5, 1), (10, 10, 10)), truth, found))
    assert tuple(shown[0, 1]) == FALSE
    assert tuple(shown[0, 3]) == MISSED
    assert (shown[0, [0, 2, 4]] == 108).all()


def test_pictures_stand_side_by_side():
    one, two = Image.new("RGB", (5, 4), (255, 0, 0)), Image.new("L", (3, 4), 7)
    both = side_by_side([one, two], gap=2)
    assert both.size == (10, 4)
    assert both.getpixel((9, 0)) == (7, 7, 7)
    assert both.getpixel((5, 0)) == (255, 255, 255)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(InputError, match="does not fit"):
        overlay_mask(Image.new("L", (9, 9)), CLASSES)
