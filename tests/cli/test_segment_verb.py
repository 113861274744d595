"""`convatlas segment`, `train` and `evaluate` with images and masks, as a user calls them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import convatlas as ca
from convatlas.evaluate.tiling import pixels_of, segment
from convatlas.serve.predictor import Predictor

CLASSES = ["ground", "cell"]


def opened(path: str | Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
    return image


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> Path:
    """Ten images and masks of 24x30 pixels."""
    folder = tmp_path_factory.mktemp("data") / "cells"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for i in range(10):
        values = np.random.default_rng(i).integers(0, 256, (24, 30), dtype=np.uint8)
        Image.fromarray(values).save(folder / "images" / f"{i}.png")
        Image.fromarray(np.where(values > 127, 255, 0).astype(np.uint8)).save(
            folder / "masks" / f"{i}.png"
        )
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "unet.safetensors"
    preprocessing = {"size": [224, 224], "mean": [0.5], "std": [0.25]}
    network = ca.create("unet_padded", width=2)
    ca.save(network, path, {"classes": CLASSES, "preprocessing": preprocessing})
    return path


def test_masks_and_overlays_have_the_size_of_their_images(call, model, cells, tmp_path) -> None:
    Image.new("RGB", (250, 31), (200, 10, 30)).save(tmp_path / "large.jpg")
    images = [cells / "images" / "0.png", tmp_path / "large.jpg"]
    ended = call("segment", model, *images, "--out", tmp_path / "out", "--json")
    assert (ended.code, ended.err) == (0, "")
    document = json.loads(ended.out)
    assert document["classes"] == CLASSES
    predictor = Predictor.load(model)
    for path, found in zip(images, document["images"], strict=True):
        image, mask = opened(path), opened(found["mask"])
        assert mask.mode == "P"
        assert mask.size == image.size == opened(found["overlay"]).size
        pixels = pixels_of(image, predictor.preprocessing)
        wanted = segment(predictor.model, pixels, predictor.preprocessing)
        assert np.array_equal(np.asarray(mask), wanted)
        assert found["shares"]["cell"] == pytest.approx(wanted.mean())
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["0-overlay.png", "0.png", "large-overlay.png", "large.png"]


def test_each_page_of_a_stack_gets_a_mask(call, model, tmp_path) -> None:
    pages = [Image.new("L", (20, 18), grey) for grey in (0, 90, 200)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    ended = call("segment", model, tmp_path / "stack.tif", "--out", tmp_path / "out")
    assert ended.code == 0
    assert [f"stack-{i}.png" in ended.out for i in (1, 2, 3)] == [True] * 3
    assert len(list((tmp_path / "out").iterdir())) == 6


def test_the_table_tells_the_share_of_each_class(call, model, cells, tmp_path) -> None:
    ended = call("segment", model, cells / "images" / "1.png", "--out", tmp_path)
    head, row = ended.out.splitlines()
    assert head.split() == ["mask", "pixels", *CLASSES]
    shares = [float(cell.rstrip("%")) for cell in row.split()[2:]]
    assert sum(shares) == pytest.approx(100, abs=0.2)


def test_a_broken_image_does_not_keep_the_others_from_their_masks(
    call, model, cells, tmp_path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    good = cells / "images" / "0.png"
    ended = call("segment", model, tmp_path / "broken.png", good, "--out", tmp_path / "out")
    assert ended.code == 2
    assert "broken.png" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert (tmp_path / "out" / "0.png").exists()


def test_a_small_tile_gives_the_same_mask(call, model, tmp_path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (30, 300), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "wide.png")
    for name, more in (("whole", ["--tile", "304"]), ("tiles", ["--tile", "208"])):
        assert (
            call("segment", model, tmp_path / "wide.png", "--out", tmp_path / name, *more).code == 0
        )
    one, two = (np.asarray(opened(tmp_path / name / "wide.png")) for name in ("whole", "tiles"))
    assert (one != two).mean() < 1e-3  # scores that are equal but for rounding


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--tile", "100"], "too small for an image of 300"),
        ([], "gives classes to images, not to pixels"),
    ],
)
def test_mistakes_are_one_line(call, model, tmp_path, args, message) -> None:
    Image.new("L", (300, 20)).save(tmp_path / "wide.png")
    if not args:
        model = tmp_path / "lenet.safetensors"
        preprocessing = {"size": [28, 28], "mean": [0.5], "std": [0.25]}
        ca.save(ca.create("lenet5_modern"), model, {"preprocessing": preprocessing})
    ended = call("segment", model, tmp_path / "wide.png", "--out", tmp_path / "out", *args)
    assert ended.code == 2
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1


def test_two_images_of_one_stem_are_refused(call, model, cells, tmp_path) -> None:
    paths = cells / "images" / "0.png", cells / "masks" / "0.png"
    ended = call("segment", model, *paths, "--out", tmp_path / "out")
    assert ended.code == 2
    assert "would both be 0.png" in ended.err
    assert not (tmp_path / "out").exists()


def test_training_evaluation_and_segmentation_in_three_commands(call, cells, tmp_path) -> None:
    out, source = tmp_path / "run", f"segmentation:{cells}"
    trained = call(
        *("train", "unet_padded", "--data", source, "--recipe", "cells", "--epochs", "1"),
        *("--net", "width=2", "--set", "tile=32", "--out", out, "--track", "none"),
    )
    assert trained.code == 0, trained.err
    assert "mean intersection over union" in trained.out
    assert f"convatlas segment {out} IMAGE" in trained.out
    assert (out / "report.html").exists()
    assert "image-segmentation" in (out / "MODEL_CARD.md").read_text()
    for option in ([], ["--json"]):
        tested = call("evaluate", out, "--data", source, *option)
        assert tested.code == 0, tested.err
    found = json.loads(tested.out)
    test = json.loads((out / "test.json").read_text())
    assert found["mean_iou"] == pytest.approx(test["mean_iou"])
    assert found["rand_error"] is not None
    assert found["test_reads"] == 3
    turned = call("evaluate", out, "--data", source, "--protocol", "turns", "--json")
    assert json.loads(turned.out)["protocol"] == "turns"
    ended = call("segment", out, cells / "images" / "2.png", "--out", tmp_path / "masks")
    assert ended.code == 0


def test_a_network_of_other_classes_is_refused(call, model, cells, tmp_path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("images", "masks"):
        (other / name).symlink_to(cells / name)
    ended = call("evaluate", model, "--data", f"segmentation:{other}")
    assert ended.code == 2
    assert "it knows the classes ground, cell; the masks have background, foreground" in ended.err


def test_masks_are_no_source_of_a_classifier(call, cells) -> None:
    ended = call("train", "lenet5", "--data", f"segmentation:{cells}")
    assert ended.code == 2
    assert "gives a class to an image, not to its pixels" in ended.err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--protocol", "10crop"), "no protocol of images and masks named '10crop'"),
        (("--precision", "bf16"), "images and masks take no --precision"),
        (("--weights-from", "timm"), "images and masks take no --weights-from"),
    ],
)
def test_options_of_classifiers_are_refused(call, model, cells, option, message) -> None:
    ended = call("evaluate", model, "--data", f"segmentation:{cells}", *option)
    assert ended.code == 2
    assert message in ended.err


def test_predict_names_the_verb_that_segments(call, model, cells) -> None:
    ended = call("predict", model, cells / "images" / "0.png")
    assert ended.code == 2
    assert "convatlas segment writes its masks" in ended.err
