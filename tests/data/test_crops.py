"""The crops: every place they may come from, and no other."""

import numpy as np
import pytest
from PIL import Image

from convatlas.data.augment import AreaCrop, CenterCrop, CornerCrop, PadCrop, RandomCrop


def picture(height: int, width: int, mode: str = "L", seed: int = 0) -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def crops(array: np.ndarray, height: int, width: int) -> set[bytes]:
    return {
        np.ascontiguousarray(array[top : top + height, left : left + width]).tobytes()
        for top in range(array.shape[0] - height + 1)
        for left in range(array.shape[1] - width + 1)
    }


def test_random_crop_gives_every_crop_and_nothing_else():
    image = picture(6, 7)
    found = {RandomCrop()(image, (4, 5), rng(seed)).tobytes() for seed in range(200)}
    assert found == crops(np.asarray(image), 4, 5)


def test_random_crop_enlarges_what_is_too_small_in_its_proportions():
    image = picture(10, 20)
    enlarged = image.resize((60, 30), Image.Resampling.BILINEAR)
    assert RandomCrop()(image, (30, 30), rng(0)).tobytes() in crops(np.asarray(enlarged), 30, 30)


def test_pad_crop_gives_every_crop_of_the_padded_image_and_nothing_else():
    image = picture(5, 5, "RGB")
    padded = np.pad(np.asarray(image), ((2, 2), (2, 2), (0, 0)))
    found = {PadCrop(2)(image, (5, 5), rng(seed)).tobytes() for seed in range(400)}
    assert found == crops(padded, 5, 5)


def test_a_mirrored_border_repeats_the_image_but_not_its_outermost_pixels():
    image = picture(5, 5)
    padded = np.pad(np.asarray(image), 2, mode="reflect")
    assert padded[0, 2:7].tolist() == np.asarray(image)[2].tolist()
    found = {PadCrop(2, "mirror")(image, (5, 5), rng(seed)).tobytes() for seed in range(400)}
    assert found == crops(padded, 5, 5)


def test_the_centre_is_as_far_from_each_border():
    image = picture(9, 12)
    centre = np.asarray(CenterCrop(4)(image, (2, 2), rng(0)))
    assert np.array_equal(centre, np.asarray(image)[2:6, 4:8])


def test_corner_crops_are_the_corners_and_the_centre_equally_often():
    image = picture(9, 7)
    pixels = np.asarray(image)
    places = [pixels[:5, :3], pixels[:5, 4:], pixels[4:, :3], pixels[4:, 4:], pixels[2:7, 2:5]]
    counts = dict.fromkeys((np.ascontiguousarray(place).tobytes() for place in places), 0)
    for seed in range(1000):
        counts[CornerCrop()(image, (5, 3), rng(seed)).tobytes()] += 1
    assert len(counts) == 5
    assert min(counts.values()) > 150


def part_seen(crop: AreaCrop, height: int, width: int, seed: int) -> tuple[int, int, int, int]:
    """Where the crop came from: each pixel says its row and its column."""
    rows, columns = np.indices((height, width), dtype=np.uint8)
    image = Image.fromarray(np.stack([rows, columns, 0 * rows], axis=2))
    seen = np.asarray(crop(image, (400, 400), rng(seed)))  # enlarged, so that no pixel is lost
    return seen[0, 0, 0], seen[0, 0, 1], seen[-1, -1, 0] + 1, seen[-1, -1, 1] + 1


def test_area_crops_have_every_area_and_both_proportions():
    """Against the definition: area / 12,000 uniform in 0.1..0.5, log of the aspect uniform."""
    areas, aspects, places = [], [], []
    for seed in range(600):
        crop = AreaCrop((0.1, 0.5), (1 / 2, 2), ("nearest",))
        top, left, bottom, right = map(int, part_seen(crop, 100, 120, seed))
        areas.append((bottom - top) * (right - left) / 12_000)
        aspects.append((right - left) / (bottom - top))
        places.append((top, left, bottom, right))
    assert 0.09 < min(areas) < 0.12
    assert 0.48 < max(areas) < 0.51
    assert np.mean(areas) == pytest.approx(0.3, abs=0.02)
    assert 0.48 < min(aspects) < 0.54
    assert 1.85 < max(aspects) < 2.1
    assert np.mean(np.log(aspects)) == pytest.approx(0, abs=0.05)
    low, high = np.min(places, axis=0), np.max(places, axis=0)
    assert low[:2].tolist() == [0, 0]
    assert high[2:].tolist() == [100, 120]


def test_an_area_crop_that_never_fits_is_the_middle_in_the_nearest_proportions():
    crop = AreaCrop((1.0, 1.0), (3 / 4, 4 / 3), ("nearest",))
    assert tuple(map(int, part_seen(crop, 30, 200, 0))) == (0, 80, 30, 120)
    assert tuple(map(int, part_seen(crop, 200, 30, 0))) == (80, 0, 120, 30)


def test_each_interpolation_has_its_turn():
    image = picture(40, 40, "L")  # colours are resized by another kernel, which rounds otherwise
    whole = {"area": (1.0, 1.0), "aspect": (1.0, 1.0)}
    methods = (Image.Resampling.NEAREST, Image.Resampling.BICUBIC, Image.Resampling.BOX)
    expected = {image.resize((16, 16), method).tobytes() for method in methods}
    crop = AreaCrop(**whole, interpolations=("nearest", "bicubic", "area"))
    assert {crop(image, (16, 16), rng(seed)).tobytes() for seed in range(40)} == expected
