"""Deformation of images and masks, mirrored borders, other greys."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convatlas.data.augment import Augmentation
from convatlas.data.elastic import Deform, Greys, displacements, places
from convatlas.data.mirror import bilinear, mirrored, nearest, window
from convatlas.errors import InputError

STILL = Deform(std=0.0, degrees=0.0, mirror=False)


def rng(seed=0):
    return np.random.default_rng(seed)


@given(st.integers(1, 9), st.integers(0, 40), st.integers(0, 40))
def test_mirrored_is_numpys_reflect(size, before, after):
    line = np.arange(size)
    wanted = np.pad(line, (before, after), mode="reflect")
    assert np.array_equal(mirrored(np.arange(-before, size + after), size), wanted)


@pytest.mark.parametrize("place", [(0, 0, 5, 7), (-3, 2, 5, 7), (-9, -20, 40, 50), (4, 6, 3, 3)])
def test_window_is_a_part_of_the_padded_image(place):
    image = rng().integers(0, 256, (5, 7, 3))
    padded = np.pad(image, ((50, 50), (50, 50), (0, 0)), mode="reflect")
    top, left, height, width = place
    wanted = padded[50 + top : 50 + top + height, 50 + left : 50 + left + width]
    assert np.array_equal(window(image, *place), wanted)


def test_reading_at_pixels_gives_them_and_halfway_their_mean():
    pixels = rng().integers(0, 256, (5, 6, 1), dtype=np.uint8)
    rows, columns = np.mgrid[:5, :6].astype(float)
    assert np.array_equal(bilinear(pixels, rows, columns)[..., 0], pixels[..., 0])
    half = bilinear(pixels, rows[:4] + 0.5, columns[:4])[..., 0]
    assert half == pytest.approx((pixels[:-1, :, 0].astype(float) + pixels[1:, :, 0]) / 2)
    assert np.array_equal(nearest(pixels[..., 0], rows - 0.4, columns + 0.4), pixels[..., 0])


def test_the_field_has_the_values_of_the_grid_at_its_points():
    grid = rng().normal(size=(2, 3, 3))
    field = displacements(grid, (21, 41))
    assert field[:, ::10, ::20] == pytest.approx(grid, abs=1e-6)


@given(st.lists(st.floats(-2, 2), min_size=6, max_size=6), st.integers(3, 6))
def test_the_field_keeps_every_quadratic(factors, points):
    def quadratic(y, x):
        a, b, c, d, e, f = factors
        return a + b * y + c * x + d * y * y + e * x * y + f * x * x

    coarse = np.linspace(-1, 1, points)
    fine_y, fine_x = np.linspace(-1, 1, 17), np.linspace(-1, 1, 23)
    grid = quadratic(coarse[:, None], coarse)[None]
    wanted = quadratic(fine_y[:, None], fine_x)
    assert displacements(grid, (17, 23))[0] == pytest.approx(wanted, abs=1e-4)


def test_no_displacement_changes_nothing():
    image = Image.fromarray(rng().integers(0, 256, (30, 20, 3), dtype=np.uint8))
    assert np.array_equal(np.asarray(STILL(image, (30, 20), rng())), np.asarray(image))


def test_displacements_have_the_deviation_of_the_paper():
    op = Deform(std=10.0, degrees=0.0, mirror=False)
    rows, columns = places(3, 3)
    moves = [np.stack(op.moved(rows, columns, rng(seed))) for seed in range(400)]
    spread = np.std(np.stack(moves) - np.stack([rows, columns]), axis=0)
    assert spread == pytest.approx(10, rel=0.15)


def test_equal_generators_give_equal_fields():
    rows, columns = places(12, 10)
    first, second = (np.stack(Deform().moved(rows, columns, rng(3))) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, np.stack(Deform().moved(rows, columns, rng(4))))


def test_image_and_mask_move_together():
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 10:50] = 1
    rows, columns = places(64, 64)
    rows, columns = (x + 31.5 for x in Deform(std=6.0).moved(rows, columns, rng(1)))
    image = bilinear(255 * mask[..., None], rows, columns)[..., 0]
    moved = nearest(mask, rows, columns)
    assert set(np.unique(moved)) == {0, 1}
    assert np.array_equal(moved[image > 200], np.ones(int((image > 200).sum())))
    assert np.array_equal(moved[image < 55], np.zeros(int((image < 55).sum())))


def test_a_turn_by_180_degrees_is_both_mirrors():
    greatest = SimpleNamespace(  # a generator that draws the greatest angle
        uniform=lambda *span: span[1], normal=lambda *given: np.zeros(given[-1])
    )
    op = Deform(std=0.0, degrees=180.0, mirror=False)
    rows, columns = places(6, 8)
    turned = op.moved(rows, columns, greatest)
    assert turned[0] == pytest.approx(rows[::-1], abs=1e-4)
    assert turned[1] == pytest.approx(columns[:, ::-1], abs=1e-4)


def test_greys_keep_the_order_of_values():
    values = np.linspace(0, 255, 50, dtype=np.float32).reshape(5, 10, 1)
    for seed in range(10):
        changed = Greys(0.5, 0.3, 0.3).coloured(values, rng(seed))
        assert (np.diff(changed.ravel()) >= -1e-3).all()
        assert changed.min() >= 0
        assert changed.max() <= 255
    assert Greys(0.0, 0.0).coloured(values, rng()) == pytest.approx(values, abs=1e-3)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("op", [Deform(), Greys()])
def test_both_are_augmentations_of_images_too(op, mode):
    image = Image.new(mode, (20, 30), 90 if mode == "L" else (90, 10, 200))
    changed = op(image, (30, 20), rng())
    assert isinstance(op, Augmentation)
    assert (changed.mode, changed.size) == (mode, (20, 30))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Deform(std=-1.0),
        lambda: Deform(points=2),
        lambda: Deform(degrees=181.0),
        lambda: Deform(scale=(1.2, 0.8)),
        lambda: Greys(contrast=-0.1),
    ],
)
def test_ranges_that_nothing_can_be_drawn_from_are_refused(make):
    with pytest.raises(InputError, match="takes"):
        make()
