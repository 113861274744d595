"""A split is segmented in the sizes of its images, and its pixels are counted."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from convatlas.catalog import build
from convatlas.data.masks import IGNORED
from convatlas.data.preprocess import Preprocessing
from convatlas.data.segmentation import Pair, SegmentationSplit
from convatlas.errors import InputError
from convatlas.evaluate.overlap import rand_error
from convatlas.evaluate.segmentation import evaluate_segmentation
from convatlas.evaluate.tiling import Tiling, pixels_of, segment, segment_logits
from convatlas.evaluate.warping import split_merge_error, warping_error

GREY = Preprocessing((256, 256), (0.5,), (0.25,))
SIZES = ((20, 31), (40, 17), (16, 250))


@pytest.fixture
def split(tmp_path):
    """Three images of different sizes, with pixels of which nobody knows the class."""
    pairs = []
    for i, size in enumerate(SIZES):
        rng = np.random.default_rng(i)
        mask = rng.integers(0, 2, size).astype(np.uint8)
        mask[:2, :3] = IGNORED
        files = tmp_path / f"{i}.png", tmp_path / f"{i}-mask.png"
        for file, array in zip(files, (rng.integers(0, 256, size, np.uint8), mask), strict=True):
            Image.fromarray(array).save(file)
        pairs.append(Pair(*files, 0, f"image {i}"))
    return SegmentationSplit(pairs, ("ground", "cell"))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build("unet_padded", 2, 1, width=2)


def test_all_pixels_that_have_a_class_count_alike(split, model):
    found = evaluate_segmentation(model, split, GREY, tiling=Tiling(240))
    truth, predicted, loss = [], [], 0.0
    for i in range(3):
        image, mask = split.pair(i)
        pixels, known = pixels_of(image, GREY), mask != IGNORED
        logits = segment_logits(model, pixels, GREY, Tiling(240))
        labels = torch.from_numpy(np.where(known, mask, IGNORED).astype(np.int64))
        loss += F.cross_entropy(logits[None], labels[None], ignore_index=IGNORED, reduction="sum")
        truth.append(mask[known])
        predicted.append(logits.argmax(dim=0).numpy()[known])
        assert found.images[i].pixel_error == pytest.approx((truth[-1] != predicted[-1]).mean())
    truth, predicted = np.concatenate(truth), np.concatenate(predicted)
    pixels = sum(height * width - 6 for height, width in SIZES)
    assert (found.count, found.pixels) == (3, pixels)
    assert found.pixel_error == pytest.approx((truth != predicted).mean())
    assert found.loss == pytest.approx(float(loss) / pixels, rel=1e-5)
    for label, name in enumerate(split.classes):
        one, two = truth == label, predicted == label
        overlap = (one & two).sum() / (one | two).sum()
        assert found.per_class[name]["iou"] == pytest.approx(overlap)
    assert found.mean_iou == pytest.approx(
        np.mean([values["iou"] for values in found.per_class.values()])
    )


def test_errors_of_cells_are_means_over_images(split, model):
    found = evaluate_segmentation(model, split, GREY, cells=True)
    errors = []
    for i in range(3):
        image, mask = split.pair(i)
        known = mask != IGNORED
        predicted = segment(model, pixels_of(image, GREY), GREY) * known
        measures = (rand_error, warping_error, split_merge_error)
        errors.append([measure(mask * known, predicted) for measure in measures])
    measured = (found.rand_error, found.warping_error, found.split_merge_error)
    assert measured == pytest.approx(np.mean(errors, axis=0))
    assert evaluate_segmentation(model, split, GREY).rand_error is None


def test_json_holds_all_of_it(split, model):
    document = evaluate_segmentation(model, split, GREY, cells=True).to_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["kind"] == "segmentation"
    assert np.sum(document["confusion"]) == document["pixels"]


def test_the_network_stays_in_its_mode_and_progress_is_told(split, model):
    told = []
    model.train()
    evaluate_segmentation(model, split, GREY, progress=lambda *args: told.append(args))
    assert model.training
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_what_can_not_be_counted_is_refused(split, model):
    with pytest.raises(InputError, match="without images"):
        evaluate_segmentation(model, SegmentationSplit([], split.classes), GREY)
    with pytest.raises(InputError, match="gives 3 classes to a pixel; the masks have 2"):
        evaluate_segmentation(build("unet_padded", 3, 1, width=1), split, GREY)
