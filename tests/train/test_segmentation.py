"""U-Net learns from images and masks: losses, the loop, a run from start to end."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import convatlas as ca
from convatlas.catalog import build
from convatlas.data.preprocess import Preprocessing
from convatlas.data.segmentation import open_segmentation
from convatlas.data.tiles import UNLABELLED
from convatlas.errors import InputError, UnknownNameError
from convatlas.evaluate.segmentation import evaluate_segmentation
from convatlas.recipe import override
from convatlas.recipes.unet import RECIPES
from convatlas.report.run_report import write_report
from convatlas.train.loop import Data, fit
from convatlas.train.options import RunOptions
from convatlas.train.pixel_losses import PIXEL_LOSSES, count_right, make_pixel_loss
from convatlas.train.plan import make_plan
from convatlas.train.run import start_run
from convatlas.train.state import State

QUIET = RunOptions(track=())


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Ten images of bright boxes on dark ground."""
    folder = tmp_path_factory.mktemp("data") / "cells"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for i in range(10):
        rng = np.random.default_rng(i)
        mask = np.zeros((40, 48), np.uint8)
        for _ in range(3):
            top, left = rng.integers(2, 26, 2)
            mask[top : top + 9, left : left + 9] = 255
        image = rng.normal(60 + mask * 0.4, 12).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{i}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
    return f"segmentation:{folder}"


def run(cells, out, **options):
    changes = {"tile": 32, "batch_size": 2, **options.pop("changes", {})}
    named = {"recipe_name": "cells", "epochs": 2, "overrides": {"width": 2}, "options": QUIET}
    return start_run("unet_padded", cells, out=out, changes=changes, **named | options)


def scores():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 6, 5, generator=generator)
    targets = torch.randint(0, 3, (2, 6, 5), generator=generator)
    targets[0, :2] = UNLABELLED
    return logits, targets


def test_the_border_weighted_loss_is_equation_1():
    logits, targets = scores()
    weights = torch.rand(2, 6, 5) * (targets >= 0)
    log_p = logits.log_softmax(dim=1)
    wanted = sum(
        -weights[n, y, x] * log_p[n, targets[n, y, x], y, x]
        for n in range(2)
        for y in range(6)
        for x in range(5)
        if targets[n, y, x] >= 0
    )
    found = make_pixel_loss("border_weighted")(logits, targets, weights)
    assert found.item() == pytest.approx(wanted.item() / targets.numel())


def test_the_dice_loss_vanishes_for_sure_and_right_answers():
    _, targets = scores()
    one_hot = F.one_hot(targets.clamp(min=0), 3).movedim(-1, 1).float()
    loss = make_pixel_loss("cross_entropy_dice")
    assert loss(one_hot * 60, targets).item() == pytest.approx(0, abs=1e-5)
    assert loss(-one_hot * 60, targets).item() > 20


@pytest.mark.parametrize("name", PIXEL_LOSSES)
def test_losses_ignore_pixels_without_a_class_and_add_up_over_images(name):
    logits, targets = scores()
    loss = make_pixel_loss(name)
    weights = (targets >= 0).float()
    other = logits.clone()
    other[0, :, :2] = 9.0
    assert loss(other, targets, weights).item() == pytest.approx(
        loss(logits, targets, weights).item()
    )
    halves = [
        loss(logits[i : i + 1], targets[i : i + 1], weights[i : i + 1]).item() for i in (0, 1)
    ]
    assert loss(logits, targets, weights).item() == pytest.approx(np.mean(halves))


def test_right_pixels_are_counted_where_there_is_a_class():
    logits, targets = scores()
    known = targets >= 0
    right = ((logits.argmax(dim=1) == targets) & known).sum()
    assert count_right(logits, targets) == (int(right), int(known.sum()))


@pytest.mark.parametrize(
    ("name", "recipe_name", "tile"),
    [("unet", "isbi", 188), ("unet_padded", "isbi", 32), ("unet_padded", "cells", 32)],
)
def test_recipes_take_two_steps(cells, name, recipe_name, tile):
    plan = make_plan(
        name,
        cells,
        recipe_name=recipe_name,
        epochs=1,
        changes={"tile": tile, "batch_size": 4},
        overrides={"width": 1},
    )
    model = build(name, 2, 1, width=1)
    state = State.fresh(model, plan.recipe)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    fit(state, plan.recipe, Data(plan.source.train, plan.source.val, plan.task), seed=0)
    assert state.step == 2
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert set(state.records[0]) >= {"val_loss", "val_accuracy", "val_mean_iou", "val_mean_dice"}


def test_the_paper_balances_classes_and_weighs_borders(cells):
    plan = make_plan("unet", cells, changes={"tile": 220}, overrides={"width": 1})
    assert plan.recipe_name == "isbi"
    assert (plan.task.border, plan.task.tile) == (92, 220)
    assert plan.task.class_weights[1] > plan.task.class_weights[0] > 0
    options = {"seed": 0, "epoch": 0, "start": 0, "workers": 0}
    batch = next(plan.task.batches(plan.source.train, plan.recipe, **options))
    assert batch.labels.shape == (1, 36, 36)
    assert float(batch.weights.max()) > max(plan.task.class_weights)


def test_a_run_leaves_what_others_need(cells, tmp_path):
    out = tmp_path / "run"
    result = run(cells, out)
    test = json.loads((out / "test.json").read_text())
    assert result.state == "finished"
    assert result.test["mean_iou"] == test["mean_iou"]
    assert test["kind"] == "segmentation"
    network, metadata = ca.load(out)
    assert network.spec.width == 2
    assert metadata["classes"] == ["background", "foreground"]
    source = open_segmentation(cells)
    again = evaluate_segmentation(
        network, source.test, Preprocessing.from_dict(metadata["preprocessing"])
    )
    assert again.mean_iou == pytest.approx(test["mean_iou"])
    page = write_report(out).read_text()
    name = source.test.name(0)
    assert f"{name}: prediction" in page
    assert "intersection over union" in page
    assert "--net width=2" in page


def test_a_stopped_run_goes_on_to_the_same_bits(cells, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(cells, whole)
    asked = iter(range(1, 10**6))
    assert run(cells, parts, stop=lambda: next(asked) >= 3).state == "stopped"
    assert run(cells, parts, resume=True).state == "finished"
    one, two = ((folder / "model.safetensors").read_bytes() for folder in (whole, parts))
    assert one == two


@pytest.fixture
def spoilt(cells, tmp_path):
    """The boxes three times; an image for training is cut off, a mask for testing no picture."""
    for name in ("train", "val", "test"):
        shutil.copytree(cells.removeprefix("segmentation:"), tmp_path / "cells" / name)
    image = tmp_path / "cells" / "train" / "images" / "2.png"
    image.write_bytes(image.read_bytes()[:400])
    (tmp_path / "cells" / "test" / "masks" / "4.png").write_bytes(b"no picture")
    return f"segmentation:{tmp_path}/cells"


def test_a_run_goes_on_past_bad_pairs_up_to_the_limit(spoilt, tmp_path):
    result = run(spoilt, tmp_path / "run", options=replace(QUIET, max_bad=0.1))
    assert result.test["count"] == 9
    told = (tmp_path / "run" / "bad_images.txt").read_text().splitlines()
    names = [line.partition("\t")[0] for line in told]
    assert names == ["train/images/2.png", "test/images/4.png"]
    with pytest.raises(InputError, match="of the test split are bad than the limit"):
        run(spoilt, tmp_path / "strict")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_both_recipes_teach_what_a_box_is(cells, tmp_path, recipe):
    result = run(cells, tmp_path, recipe_name=recipe, epochs=40, overrides={"width": 8})
    assert result.test["mean_iou"] > 0.9


def test_micro_batches_give_the_gradient_of_the_batch(cells):
    plan = make_plan(
        "unet_padded",
        cells,
        recipe_name="cells",
        epochs=1,
        changes={"tile": 32, "batch_size": 4},
        overrides={"width": 2, "dropout": 0.0},
    )
    data = Data(plan.source.train, plan.source.val, plan.task)
    results = []
    for size in (None, 1):
        torch.manual_seed(0)
        state = State.fresh(build("unet_padded", 2, 1, width=2, dropout=0.0), plan.recipe)
        fit(state, plan.recipe, data, seed=0, options=replace(QUIET, micro_batch=size))
        results.append(state.records[0])
    assert results[0]["train_loss"] == pytest.approx(results[1]["train_loss"], rel=1e-5)
    assert results[0]["val_loss"] == pytest.approx(results[1]["val_loss"], rel=1e-3)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("lenet5", {}, "gives a class to an image, not to its pixels"),
        ("unet", {"tile": 200}, "no tile of 200 pixels; the nearest are 188 and 204"),
        ("unet_padded", {"balance": "sampling"}, 'set balance="loss" or "none"'),
        ("unet_padded", {"resize_shorter": 64}, "takes no resize_shorter"),
    ],
)
def test_what_only_images_have_is_refused(cells, name, changes, message):
    recipe = None if name == "lenet5" else "cells"
    with pytest.raises(InputError, match=message):
        make_plan(name, cells, recipe_name=recipe, changes=changes)


def test_labels_of_images_are_nothing_for_networks_of_pixels():
    with pytest.raises(InputError, match=r"unet gives a class to each pixel.*segmentation:PATH"):
        make_plan("unet", "digits")


def test_unknown_losses_are_refused(cells):
    with pytest.raises(UnknownNameError, match="border_weighted"):
        make_plan("unet", cells, changes={"loss": "border_weigthed"})
    smooth = override(RECIPES["cells"], {"label_smoothing": 0.1})
    with pytest.raises(InputError, match="takes no label_smoothing"):
        make_pixel_loss(smooth.loss, smooth.label_smoothing)
