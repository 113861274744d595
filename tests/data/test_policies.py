"""The operations of AutoAugment and RandAugment against their formulas, and how they are drawn."""

import numpy as np
import pytest
from PIL import Image

from convatlas.data.augment import AutoAugment, RandAugment, policies
from convatlas.data.augment.operations import OPERATIONS
from convatlas.data.augment.policies import IMAGENET_POLICY, RANDOM_OPERATIONS

PIXELS = np.random.default_rng(0).integers(0, 256, (33, 33, 3), dtype=np.uint8)
LEVELS = (0, 1, 4, 9, 10)


def changed(name: str, level: float, pixels: np.ndarray = PIXELS, seed: int = 0) -> np.ndarray:
    return np.asarray(OPERATIONS[name](Image.fromarray(pixels), level, np.random.default_rng(seed)))


def equalized(channel: np.ndarray) -> np.ndarray:
    """As the authors' code: a step is 1/255 of all pixels but the brightest ones."""
    counts = np.bincount(channel.ravel(), minlength=256)
    step = (counts.sum() - counts[counts > 0][-1]) // 255
    if not step:
        return channel
    table = ((np.cumsum(counts) - counts + step // 2) // step).clip(0, 255)
    return table[channel].astype(np.uint8)


def stretched(channel: np.ndarray) -> np.ndarray:
    low, high = int(channel.min()), int(channel.max())
    return ((channel - float(low)) * 255 / (high - low)).clip(0, 255)


@pytest.mark.parametrize("level", LEVELS)
def test_operations_on_values_are_the_formulas(level):
    whole = PIXELS.astype(int)
    bits, threshold, more = int(level / 10 * 4), int(level / 10 * 256), int(level / 10 * 110)
    expected = {
        "identity": PIXELS,
        "invert": 255 - PIXELS,
        "posterize": whole >> (8 - bits) << (8 - bits),
        "solarize": np.where(threshold > whole, whole, 255 - whole),
        "solarize_add": np.where(whole < 128, np.minimum(255, whole + more), whole),
        "equalize": np.stack([equalized(PIXELS[:, :, c]) for c in range(3)], axis=2),
    }
    for name, values in expected.items():
        assert np.array_equal(changed(name, level), values), name
    contrast = np.stack([stretched(PIXELS[:, :, c] // 2) for c in range(3)], axis=2)
    assert abs(changed("auto_contrast", level, PIXELS // 2) - contrast).max() <= 1


@pytest.mark.parametrize("level", LEVELS)
def test_enhancements_blend_with_a_factor_of_0_1_to_1_9(level):
    factor, whole = level / 10 * 1.8 + 0.1, PIXELS.astype(float)
    grey = ((PIXELS.astype(int) @ (19595, 38470, 7471) + 2**15) >> 16)[:, :, None]
    smooth = whole.copy()
    for y in range(1, 32):
        for x in range(1, 32):
            near = whole[y - 1 : y + 2, x - 1 : x + 2].sum(axis=(0, 1))
            smooth[y, x] = (near + 4 * whole[y, x]) / 13
    others = {
        "brightness": 0 * whole,
        "color": grey + 0 * whole,
        "contrast": round(grey.mean()) + 0 * whole,
        "sharpness": smooth,
    }
    for name, other in others.items():
        expected = (other + factor * (whole - other)).clip(0, 255)
        assert abs(changed(name, level) - expected).max() <= 2, name


def test_geometry_moves_a_dot_as_far_as_the_level_says():
    dot = np.zeros((331, 331), np.uint8)
    dot[160:171, 160:171] = 255  # the centre, 11 pixels wide

    def centre(name: str, level: float, pixels: np.ndarray, seed: int) -> np.ndarray:
        return np.argwhere(changed(name, level, pixels, seed) == 255).mean(axis=0) - 165

    for name, axis in (("translate_y", 0), ("translate_x", 1)):
        moves = {round(centre(name, 8, dot, seed)[axis]) for seed in range(9)}
        assert moves == {-120, 120}  # 8 / 10 of 150 pixels
    upper = np.zeros((331, 331), np.uint8)
    upper[60:71, 160:171] = 255  # 100 pixels above the centre
    moved = {tuple(centre("shear_x", 10, upper, seed).round()) for seed in range(9)}
    assert moved == {(-100, -30), (-100, 30)}
    assert {tuple(centre("shear_y", 10, upper.T, seed).round()) for seed in range(9)} == {
        (-30, -100),
        (30, -100),
    }
    turned = {tuple(centre("rotate", 10, upper, seed).round()) for seed in range(9)}
    assert turned == {(-87, -50), (-87, 50)}  # 30 degrees


@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"])
def test_what_comes_in_is_grey_and_level_0_is_no_move(name):
    assert np.array_equal(changed(name, 0), PIXELS)
    for channels in (PIXELS, PIXELS[:, :, 0]):
        assert (changed(name, 10, 0 * channels) == 128).any()


def calls(monkeypatch, augment, times: int) -> list[list[tuple[str, float]]]:
    """What is called on each of several images."""
    called: list[tuple[str, float]] = []

    def spy(name):
        def operation(image, level, rng):
            called.append((name, level))
            return image

        return operation

    monkeypatch.setattr(policies, "OPERATIONS", {name: spy(name) for name in OPERATIONS})
    image, found = Image.new("RGB", (2, 2)), []
    for seed in range(times):
        called.clear()
        augment(image, (2, 2), np.random.default_rng(seed))
        found.append(list(called))
    return found


def test_rand_augment_draws_each_of_14_equally_often(monkeypatch):
    found = calls(monkeypatch, RandAugment(3, 7.5), 1000)
    assert {len(names) for names in found} == {3}
    names = [name for image in found for name, _ in image]
    assert {level for image in found for _, level in image} == {7.5}
    counts = {name: names.count(name) for name in RANDOM_OPERATIONS}
    assert sum(counts.values()) == 3000
    assert len(counts) == 14
    assert min(counts.values()) > 160
    assert max(counts.values()) < 270


def test_auto_augment_draws_each_pair_and_its_chances(monkeypatch):
    found = calls(monkeypatch, AutoAugment(), 5000)
    expected = sum(chance for pair in IMAGENET_POLICY for _, chance, _ in pair) / 25
    assert np.mean([len(image) for image in found]) == pytest.approx(expected, abs=0.05)
    assert len(IMAGENET_POLICY) == 25
    seen = {operation for image in found for operation in image}
    written = {(name, level) for pair in IMAGENET_POLICY for name, chance, level in pair if chance}
    assert seen == written


def test_every_operation_is_used():
    searched = {name for pair in IMAGENET_POLICY for name, _, _ in pair}
    assert searched | set(RANDOM_OPERATIONS) == set(OPERATIONS)
