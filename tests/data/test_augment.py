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
    AreaCrop,
    Augmentation,
    AutoAugment,
    CenterCrop,
    ColorJitter,
    CornerCrop,
    Flip,
    PadCrop,
    PcaColor,
    RandAugment,
    RandomCrop,
    RandomErasing,
    Resize,
    ScaleJitter,
)
from convatlas.errors import InputError

OPS = (
    Resize(),
    Resize("nearest"),
    Resize(side=9),
    Affine(degrees=20, translate=0.2, scale=(0.8, 1.25), shear=10, fill=7),
    Flip(),
    PadCrop(2),
    PadCrop(3, "mirror"),
    CenterCrop(11),
    RandomCrop(),
    CornerCrop(),
    AreaCrop(interpolations=("nearest", "bilinear", "bicubic", "area")),
    ScaleJitter(5, 40),
    PcaColor(0.5),
    ColorJitter(0.4, 0.4, 0.4, 0.2),
    RandomErasing(0.9),
    RandomErasing(fill=128),
    RandAugment(3, 9),
    AutoAugment(),
)
WITHOUT_CHANCE = (Resize, CenterCrop)
KEEP_SIZE = (Affine, Flip, PcaColor, ColorJitter, RandomErasing, RandAugment, AutoAugment)
GIVE_SIZE = (PadCrop, RandomCrop, CornerCrop, AreaCrop)


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
    if isinstance(op, (Resize, CenterCrop)):
        assert (changed.height, changed.width) == ((op.side,) * 2 if op.side else size)
    assert image.tobytes() == before
    assert op(image, size, rng(seed)).tobytes() == changed.tobytes()


@pytest.mark.parametrize("op", OPS, ids=repr)
def test_is_frozen_data(op):
    assert isinstance(op, Augmentation)
    assert op in {op}
    assert type(op).__name__ in repr(op)


@pytest.mark.parametrize("op", [op for op in OPS if not isinstance(op, WITHOUT_CHANCE)], ids=repr)
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


def test_scale_jitter_reaches_both_ends_and_keeps_proportions():
    image = picture(30, 60)
    sizes = {ScaleJitter(10, 12)(image, (8, 8), rng(seed)).size for seed in range(50)}
    assert sizes == {(20, 10), (22, 11), (24, 12)}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Resize("lanczos"), "lanczos"),
        (lambda: Affine(degrees=-1), "at least 0"),
        (lambda: Affine(scale=(1.2, 0.8)), "low <= high"),
        (lambda: Affine(shear=90), "90"),
        (lambda: Affine(fill=256), "256"),
        (lambda: PadCrop(-1), "-1"),
        (lambda: PadCrop(4, "miror"), "did you mean: mirror"),
        (lambda: Resize(side=0), "side of at least 1"),
        (lambda: CenterCrop(0), "side of at least 1"),
        (lambda: AreaCrop(area=(0.5, 1.5)), "area, not 0.5..1.5"),
        (lambda: AreaCrop(area=(0, 0)), "above 0"),
        (lambda: AreaCrop(aspect=(0, 1)), "above 0"),
        (lambda: AreaCrop(aspect=(2, 1)), "aspect, not 2..1"),
        (lambda: AreaCrop(interpolations=("cubic",)), "did you mean: bicubic"),
        (lambda: AreaCrop(interpolations=()), "at least one interpolation"),
        (lambda: ColorJitter(brightness=-1), "at least 0"),
        (lambda: ColorJitter(hue=0.6), "hue to 0.5"),
        (lambda: RandomErasing(1.5), "chance of 0 to 1"),
        (lambda: RandomErasing(area=(0.5, 0.1)), "area"),
        (lambda: RandomErasing(aspect=(0, 1)), "above 0"),
        (lambda: RandomErasing(fill=300), "fill"),
        (lambda: RandAugment(-1), "at least 0 operations"),
        (lambda: RandAugment(magnitude=31), "0 to 30"),
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
