"""Changes of colour, against the formulas."""

import numpy as np
import pytest
from PIL import Image

from convatlas.data.augment import ColorJitter, PcaColor, RandomErasing


def picture(height: int, width: int, mode: str = "L", seed: int = 0) -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_pca_color_shifts_all_pixels_alike_along_the_axes():
    grey = Image.new("RGB", (3, 2), (128, 128, 128))
    shifts = []
    for seed in range(2000):
        pixels = np.asarray(PcaColor(0.2)(grey, (2, 3), rng(seed))).reshape(-1, 3)
        assert (pixels == pixels[0]).all()
        shifts.append(pixels[0] - 128.0)
    covariance = np.cov(np.array(shifts).T)
    # 0.2 * 255 * 0.2175 along the first axis, all three colours brighter or darker together
    assert np.sqrt(np.linalg.eigvalsh(covariance)[-1]) == pytest.approx(11.1, rel=0.05)
    direction = np.abs(np.linalg.eigh(covariance)[1][:, -1])
    assert direction == pytest.approx([0.5675, 0.5808, 0.5836], abs=0.02)


def test_pca_color_cuts_and_leaves_grey_images():
    white = Image.new("RGB", (1, 1), "white")
    values = [PcaColor(3)(white, (1, 1), rng(seed)).getpixel((0, 0)) for seed in range(50)]
    assert max(map(max, values)) == 255
    assert min(map(min, values)) < 255
    assert PcaColor()(picture(4, 4), (4, 4), rng(0)).tobytes() == picture(4, 4).tobytes()


def grey(pixels: np.ndarray) -> np.ndarray:
    """ITU-R 601-2, as Pillow rounds it."""
    return (pixels.astype(int) @ (19595, 38470, 7471) + 2**15) >> 16


@pytest.mark.parametrize("field", ["brightness", "contrast", "saturation"])
def test_a_jitter_blends_with_black_the_mean_grey_or_the_grey_image(field):
    image = picture(12, 9, "RGB")
    pixels = np.asarray(image).astype(float)
    other = {
        "brightness": np.zeros_like(pixels),
        "contrast": np.full_like(pixels, round(grey(np.asarray(image)).mean())),
        "saturation": np.repeat(grey(np.asarray(image))[:, :, None], 3, axis=2),
    }[field]
    factors = []
    for seed in range(60):
        jitter = ColorJitter(**{field: 0.5})
        changed = np.asarray(jitter(image, (12, 9), rng(seed))).astype(float)
        inside = (changed > 0) & (changed < 255) & (abs(pixels - other) > 40)
        ratios = ((changed - other) / np.where(pixels == other, 1, pixels - other))[inside]
        factor = np.median(ratios)
        assert abs(ratios - factor).max() < 0.04
        expected = (other + factor * (pixels - other)).clip(0, 255)
        assert abs(changed - expected).max() <= 2
        factors.append(factor)
    assert 0.48 < min(factors) < 0.56
    assert 1.44 < max(factors) < 1.52


def test_a_jitter_of_hue_turns_the_circle_and_leaves_the_light():
    image = Image.new("RGB", (2, 2), (200, 60, 60))
    hues = set()
    for seed in range(100):
        changed = ColorJitter(hue=0.5)(image, (2, 2), rng(seed)).getpixel((0, 0))
        assert max(changed) == pytest.approx(200, abs=2)
        assert min(changed) == pytest.approx(60, abs=3)
        hues.add(changed.index(max(changed)))
    assert hues == {0, 1, 2}


def test_a_jitter_of_nothing_changes_nothing():
    image = picture(4, 5, "RGB")
    assert ColorJitter()(image, (4, 5), rng(1)).tobytes() == image.tobytes()


def test_erasing_replaces_one_box_of_the_right_area():
    areas, ratios, erased = [], [], 0
    for seed in range(600):
        image = Image.new("L", (60, 50), 7)
        changed = np.asarray(RandomErasing(0.5, (0.1, 0.3), fill=200)(image, (1, 1), rng(seed)))
        box = changed == 200
        assert ((changed == 7) | box).all()
        if not box.any():
            continue
        erased += 1
        rows, columns = box.any(axis=1), box.any(axis=0)
        assert np.array_equal(box, rows[:, None] & columns)
        assert abs(np.diff(rows.astype(int))).sum() <= 2
        areas.append(box.mean())
        ratios.append(rows.sum() / columns.sum())
    assert 240 < erased < 360
    assert 0.09 < min(areas) < 0.13
    assert 0.27 < max(areas) < 0.31
    assert min(ratios) < 0.5
    assert max(ratios) > 2


def test_erasing_with_noise_leaves_no_grey_value_out():
    image = Image.new("RGB", (64, 64))
    changed = np.asarray(RandomErasing(1.0, (0.4, 0.4))(image, (64, 64), rng(0)))
    box = changed[changed.any(axis=2)]
    assert len(np.unique(box)) > 250
    assert box.mean() == pytest.approx(127.5, abs=5)
