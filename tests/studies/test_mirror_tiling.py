import numpy as np
import pytest
import torch
from faked_results import passes

from convatlas.architectures.unet import BORDER
from convatlas.catalog import build, spec_of
from convatlas.recipe import Adam, Recipe
from convatlas.studies.discs import draw_discs
from convatlas.studies.lab import Trained
from convatlas.studies.mirror_tiling import NAME, SIDE, STUDY, framed, from_border
from convatlas.train.segmentation import make_segmentation


def test_mirrored_borders_must_be_better_and_tiles_equal():
    good = {"mirror_error": 0.05, "black_error": 0.10, "grey_error": 0.06, "tile_difference": 1e-5}
    assert passes(STUDY, {NAME: good})
    assert not passes(STUDY, {NAME: {**good, "mirror_error": 0.10, "black_error": 0.05}})
    assert not passes(STUDY, {NAME: {**good, "grey_error": 0.04}})
    assert not passes(STUDY, {NAME: {**good, "tile_difference": 0.1}})


def test_images_need_no_more_than_their_borders():
    spec = spec_of("unet")
    assert spec.nearest_sizes(SIDE + 2 * BORDER) == [SIDE + 2 * BORDER]


def test_distances_are_those_to_the_nearest_side():
    assert from_border(5).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 1, 2, 1, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("level", [0.0, 0.4])
def test_a_frame_has_one_grey(tmp_path, level):
    source = draw_discs(tmp_path, 52)
    recipe = Recipe("a test", 1, 1, Adam(1e-3), tile=236)
    task = make_segmentation("unet", spec_of("unet"), source, (236, 236), recipe)
    torch.manual_seed(0)
    model = build("unet", 2, 1, width=1).eval()
    trained = Trained(model, [], False, source, 1, task)
    pixels = np.asarray(source.test.image(0))[..., None]
    values = np.full((236, 236, 1), level)
    values[BORDER:-BORDER, BORDER:-BORDER] = pixels / 255
    [mean], [std] = task.preprocessing.mean, task.preprocessing.std
    inside = torch.from_numpy((values - mean) / std).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = model(inside.float())[0]
    assert torch.allclose(framed(trained, pixels, level), expected, atol=1e-4)
