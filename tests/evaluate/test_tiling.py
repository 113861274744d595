"""Tiles of a large image give what one pass over it would give."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convatlas.catalog import build, spec_of
from convatlas.data.preprocess import Preprocessing
from convatlas.errors import InputError
from convatlas.evaluate.tiling import (
    Tiling,
    parts,
    pixels_of,
    segment,
    segment_logits,
    tiled_logits,
)

GREY = Preprocessing((572, 572), (0.5,), (0.25,))
NAMES = ("unet", "unet_padded")


@pytest.fixture(scope="module", params=NAMES)
def model(request):
    torch.manual_seed(0)
    return build(request.param, num_classes=3, width=1)


def noise(height, width, channels=1):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def whole_pass(model, pixels, preprocessing=GREY):
    """One forward pass over the mirrored image, in the least legal size."""
    rim = 0 if model.spec.padded else 92
    height, width = pixels.shape[:2]

    def wide(size):
        least = model.spec.least
        return least + -(-max(0, size + 2 * rim - least) // 16) * 16

    pad = (
        (rim, wide(height) - height - rim),
        (rim, wide(width) - width - rim),
        (0, 0),
    )
    padded = np.pad(pixels, pad, mode="reflect")
    images = preprocessing.normalized(padded[None])
    with torch.inference_mode():
        return model.eval()(images)[0, :, :height, :width]


@pytest.mark.parametrize("size", [(80, 270), (275, 2)])
@pytest.mark.parametrize("tile", [252])
def test_tiles_equal_one_pass_over_the_whole_image(model, size, tile):
    pixels = noise(*size)
    assert len(list(tiled_logits(model, pixels, GREY, Tiling(tile)))) > 1
    found = segment_logits(model, pixels, GREY, Tiling(tile))
    torch.testing.assert_close(found, whole_pass(model, pixels), rtol=1e-4, atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("tile", [220, 305])
def test_tiles_of_a_larger_image_equal_one_pass(model, tile):
    pixels = noise(300, 411)
    found = segment_logits(model, pixels, GREY, Tiling(tile))
    torch.testing.assert_close(found, whole_pass(model, pixels), rtol=1e-4, atol=2e-4)


def test_an_image_that_fits_is_one_tile(model):
    assert len(list(tiled_logits(model, noise(60, 50), GREY))) == 1


def test_colours_and_other_numbers_of_classes():
    torch.manual_seed(0)
    model = build("unet_padded", num_classes=5, in_channels=3, width=1)
    colour = Preprocessing((256, 256), (0.4,) * 3, (0.2,) * 3)
    found = segment_logits(model, noise(40, 30, 3), colour)
    assert found.shape == (5, 40, 30)
    torch.testing.assert_close(found, whole_pass(model, noise(40, 30, 3), colour))


def test_the_class_is_that_of_the_greatest_score_and_modes_come_back(model):
    model.train()
    pixels = noise(60, 70)
    classes = segment(model, pixels, GREY)
    assert model.training
    assert classes.dtype == np.uint8
    assert np.array_equal(classes, segment_logits(model, pixels, GREY).argmax(dim=0).numpy())


@given(
    st.sampled_from(NAMES), st.integers(1, 3000), st.integers(208, 900).filter(lambda n: n >= 220)
)
def test_parts_give_each_pixel_once_with_its_surroundings(name, size, tile):
    spec = spec_of(name)
    found = parts(spec, size, tile)
    assert [found[0].first, found[-1].stop] == [0, size]
    assert all(one.stop == two.first for one, two in itertools.pairwise(found))
    rim = 0 if spec.padded else 92
    whole = -(-size // 16) * 16
    for part in found:
        assert part.size <= tile
        assert spec.nearest_sizes(part.size) == [part.size]
        assert (part.start + rim) % 16 == 0  # poolings stand where those of one pass do
        end = part.start + part.size
        if spec.padded and len(found) > 1:  # what it gives lies 92 pixels inside, or at a border
            assert part.first - part.start >= 92 or part.start == 0
            assert end - part.stop >= 92 or end == whole
        else:
            assert part.first - part.start >= rim
            assert end - part.stop >= rim


def test_memory_is_that_of_a_tile():
    model = build("unet_padded", width=1)
    seen = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    segment(model, noise(700, 240), GREY, tiling=Tiling(256))
    assert max(shape[2] * shape[3] for shape in seen) <= 256 * 256
    assert len(seen) > 5


def test_turns_average_the_probabilities_of_turned_images(model):
    # of a legal size, so that the poolings of a turned image stand in the same grid
    pixels = noise(48, 64) if model.spec.padded else noise(20, 36)
    total = 0
    for quarters in range(4):
        for mirror in (False, True):
            turned = np.rot90(pixels, quarters)
            turned = turned[:, ::-1] if mirror else turned
            p = segment_logits(model, np.ascontiguousarray(turned), GREY).softmax(dim=0)
            p = p.flip(2) if mirror else p
            total = total + p.rot90(-quarters, (1, 2))
    found = segment_logits(model, pixels, GREY, Tiling(turns=8))
    torch.testing.assert_close(found.exp(), total / 8)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_pictures_of_any_mode_have_pixels(mode):
    picture = Image.new("RGB", (5, 4), (10, 20, 30)).convert(mode)
    assert pixels_of(picture, GREY).shape == (4, 5, 1)


def test_what_can_not_be_tiled_is_said(model):
    with pytest.raises(InputError, match=r"tiles of .* are too small for an image of 300.*208"):
        segment(model, noise(300, 300), GREY, tiling=Tiling(190))
    with pytest.raises(InputError, match="turns are 1 or 8, not 7"):
        Tiling(turns=7)
    with pytest.raises(InputError, match="without pixels"):
        segment(model, np.zeros((0, 5, 1), np.uint8), GREY)


def test_a_classifier_gives_no_class_to_pixels():
    with pytest.raises(InputError, match="lenet5 gives classes to images, not to pixels"):
        segment(build("lenet5"), noise(32, 32), GREY)


def test_scores_that_are_not_finite_are_refused(model):
    broken = build("unet_padded", width=1)
    with torch.no_grad():
        broken.head.out.bias.fill_(float("nan"))
    with pytest.raises(InputError, match="not finite"):
        segment(broken, noise(20, 20), GREY)
