"""The random changes of training images: what each does, and that chance comes from `rng` alone."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convatlas.data.augment import (
    Affine,
    Augmentation,
    Flip,
    PadCrop,
    PcaColor,
    RandomCrop,
    Resize,
    ScaleJitter,
)
from convatlas.errors import InputError

OPS = (
    Resize(),
    Resize("nearest"),
    Affine(degrees=20, translate=0.2, scale=(0.8, 1.25), shear=10, fill=7),
    Flip(),
    PadCrop(2),
    RandomCrop(),
    ScaleJitter(5, 40),
    PcaColor(0.5),
)
KEEP_SIZE = (Affine, Flip, PcaColor)
GIVE_SIZE = (Resize, PadCrop, RandomCrop)


def picture(height: int, width: int, mode: str = "L", seed: int = 0) -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("op", OPS, ids=repr)
@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    mode=st.sampled_from(("L", "RGB")),
    seed=st.integers(0, 2**32),
)
def test_keeps_the_mode_and_its_promise_of_a_size(op, height, width, size, mode, seed):
    image = picture(height, width, mode)
    before = image.tobytes()
    changed = op(image, size, rng(seed))
    assert changed.mode == mode
    if isinstance(op, KEEP_SIZE):
        assert changed.size == image.size
    if isinstance(op, GIVE_SIZE):
        assert (changed.height, changed.width) == size
    assert image.tobytes() == before
    assert op(image, size, rng(seed)).tobytes() == changed.tobytes()


@pytest.mark.parametrize("op", OPS, ids=repr)
def test_is_frozen_data(op):
    assert isinstance(op, Augmentation)
    assert op in {op}
    assert type(op).__name__ in repr(op)


@pytest.mark.parametrize("op", [op for op in OPS if not isinstance(op, Resize)], ids=repr)
def test_another_seed_gives_another_image(op):
    image = picture(24, 24, "RGB")
    assert len({op(image, (16, 16), rng(seed)).tobytes() for seed in range(20)}) > 1


def test_affine_without_ranges_changes_nothing():
    image = picture(11, 8)
    assert Affine()(image, (8, 8), rng(0)).tobytes() == image.tobytes()


def square(side: int, canvas: int = 64) -> Image.Image:
    image = Image.new("L", (canvas, canvas))
    start = (canvas - side) // 2
    image.paste(255, (start, start, start + side, start + side))
    return image


def centre(image: Image.Image) -> np.ndarray:
    ink = np.asarray(image, float)
    rows, columns = np.indices(ink.shape)
    return np.array([(ink * rows).sum(), (ink * columns).sum()]) / ink.sum()


@pytest.mark.parametrize("scale", [0.5, 1.5, 2.0])
def test_affine_scales_areas_by_the_square(scale):
    changed = Affine(scale=(scale, scale))(square(20), (64, 64), rng(0))
    assert np.asarray(changed, float).sum() / (255 * 400) == pytest.approx(scale**2, rel=0.03)
    assert centre(changed) == pytest.approx([31.5, 31.5], abs=0.1)


def test_affine_moves_by_up_to_the_fraction_both_ways():
    moves = np.array(
        [
            centre(Affine(translate=0.25)(square(10), (64, 64), rng(seed))) - 31.5
            for seed in range(200)
        ]
    )
    assert abs(moves).max() <= 16.1
    assert (moves.max(0) > 14).all()
    assert (moves.min(0) < -14).all()


def test_affine_turns_by_up_to_the_angle_both_ways():
    bar = Image.new("L", (65, 65))
    bar.paste(255, (32, 8, 33, 57))
    angles = []
    for seed in range(100):
        rows, columns = np.nonzero(np.asarray(Affine(degrees=30)(bar, (65, 65), rng(seed))))
        slope = np.cov(rows - 32, columns - 32)
        angles.append(np.degrees(np.arctan(slope[0, 1] / slope[0, 0])))
    assert max(map(abs, angles)) <= 31
    assert max(angles) > 25
    assert min(angles) < -25


def test_affine_shears_rows_sideways_and_leaves_their_height():
    changed = Affine(shear=45)(square(20), (64, 64), rng(3))
    ink = np.asarray(changed, float)
    middles = [(row * np.arange(64)).sum() / row.sum() for row in ink[23:41]]
    steps = np.diff(middles)
    assert (ink.sum(1) > 255).sum() == 20
    assert steps == pytest.approx(np.full(len(steps), steps.mean()), abs=0.1)
    assert 0.05 < abs(steps.mean()) <= 1


def test_affine_fills_what_comes_in():
    changed = Affine(scale=(0.25, 0.25), fill=99)(picture(32, 32, "RGB"), (32, 32), rng(0))
    assert changed.getpixel((0, 0)) == (99, 99, 99)


def test_flip_mirrors_half_of_the_images():
    image = picture(5, 7)
    mirrored = np.asarray(image)[:, ::-1]
    results = [np.asarray(Flip()(image, (5, 7), rng(seed))) for seed in range(400)]
    flips = sum(np.array_equal(result, mirrored) for result in results)
    assert 160 < flips < 240
    assert sum(np.array_equal(result, image) for result in results) == 400 - flips


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


def test_scale_jitter_reaches_both_ends_and_keeps_proportions():
    image = picture(30, 60)
    sizes = {ScaleJitter(10, 12)(image, (8, 8), rng(seed)).size for seed in range(50)}
    assert sizes == {(20, 10), (22, 11), (24, 12)}


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


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Resize("lanczos"), "lanczos"),
        (lambda: Affine(degrees=-1), "at least 0"),
        (lambda: Affine(scale=(1.2, 0.8)), "low <= high"),
        (lambda: Affine(shear=90), "90"),
        (lambda: Affine(fill=256), "256"),
        (lambda: PadCrop(-1), "-1"),
        (lambda: ScaleJitter(300, 200), "300..200"),
        (lambda: ScaleJitter(0, 200), "0..200"),
        (lambda: PcaColor(-0.1), "-0.1"),
    ],
)
def test_refuses_impossible_ranges(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_needs_no_torch():
    code = "import sys, convatlas.data.augment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
