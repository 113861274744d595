"""Do classifiers in the middle of a deep network help to train it?

Szegedy, Liu, Jia et al. 2014, "Going Deeper with Convolutions", 1409.4842: section 5.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from convatlas.architectures.googlenet import SIDES, TABLE_1, Row
from convatlas.catalog import build
from convatlas.data.loader import batches
from convatlas.recipe import Recipe
from convatlas.recipes.googlenet import RECIPES
from convatlas.studies.charts import curves
from convatlas.studies.checks import at_least, no_worse
from convatlas.studies.lab import Lab, Trained, training_case
from convatlas.studies.small_inception import SmallInception
from convatlas.studies.small_nets import imagenet, small_images, small_recipe
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study

WITH, WITHOUT = "side classifiers", "none"
_ROW = Row(8, 8, 16, 8, 8, 8)  # 40 maps leave it
ROWS = {name: row and _ROW for name, row in TABLE_1.items()}
BEHIND = tuple(SIDES)
EARLY = 0.25  # of the training
SLACK = 1.0  # points
EACH, EPOCHS = 150, 16  # training images of a class


def cases(scale: Scale) -> list[Case]:
    """Give the same network, without batch norm, with side classifiers and without."""
    if scale == "paper":
        recipe, make = RECIPES["imagenet"], partial(build, "googlenet")
        images, with_sides = imagenet(), partial(make, sides=True)
    else:
        recipe, make = small_recipe(EPOCHS, sides=True), partial(SmallInception, ROWS)
        images, with_sides = small_images(EACH), partial(make, sides=BEHIND)
    return [
        training_case(WITH, with_sides, recipe, images, also=_first_gradient),
        training_case(WITHOUT, make, _without_sides(recipe), images, also=_first_gradient),
    ]


def _first_gradient(trained: Trained, lab: Lab) -> Mapping[str, float]:
    """Measure the gradient that reaches the first convolution before anything is learnt."""
    net: Any = copy.deepcopy(trained.model).train()
    split: Any = trained.pictures.train
    batch = next(iter(batches(split, trained.task.preprocessing, 32, shuffle=True)))
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(lab.seed)
        net.reset_parameters()
        if len(net.sides):
            logits, sides = net.forward_with_sides(batch.images)
        else:
            logits, sides = net(batch.images), ()
        loss = cross_entropy(logits, batch.labels)
        for side in sides:
            loss = loss + side.weight * cross_entropy(side.logits, batch.labels)
        [gradient] = torch.autograd.grad(loss, net.get_submodule("stem.conv1.conv").weight)
    return {"first_gradient": gradient.norm().item()}


def judge(results: Results) -> Sequence[Check]:
    """More gradient reaches the first layer, learning begins faster, and the end is no worse."""
    pairs = zip(*(results.values(name, "first_gradient") for name in (WITH, WITHOUT)), strict=True)
    early = [_early(results, name) for name in (WITHOUT, WITH)]
    gains = tuple(without - with_ for without, with_ in zip(*early, strict=True))
    return [
        at_least(
            "side classifiers do not weaken the first gradient that reaches conv1",
            [with_ / without for with_, without in pairs],
            1.0,
        ),
        Check(
            "side classifiers lower the training error after a quarter of the epochs", gains, 1e-9
        ),
        no_worse(results, WITH, WITHOUT, slack=SLACK),
    ]


def _early(results: Results, case: str) -> list[float]:
    """Give the training error after a quarter of the epochs, for each seed."""
    found = results.values(case, "train_error_curve")
    return [curve[max(1, round(EARLY * len(curve))) - 1] for curve in found]  # ty: ignore


def _without_sides(recipe: Recipe) -> Recipe:
    """Give the recipe for a network that has none."""
    sources = tuple(source for source in recipe.sources if source[0] != "sides")
    return replace(recipe, sides=False, sources=sources)


STUDY = Study(
    name="side_classifiers",
    title="Side classifiers on and off",
    source="Szegedy et al. 2014 (1409.4842), section 5; 2015 (1512.00567), section 4",
    why="Before batch norm and shortcuts, the gradient that reached the first layers of a deep "
    "network was weak. GoogLeNet lets two small classifiers branch off in the middle while it "
    "trains, each with 0.3 of the loss, and drops them afterwards.",
    claim="With side classifiers, training starts faster, and the final error is no higher.",
    published=(
        Published("effect of the side classifiers", "about 0.5 %", "section 5, CVPR 2015"),
        Published("Inception v3, batch norm in the side head", "0.4 % better", "1512.00567"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Training error over the epochs with side classifiers and without",
        curves("Training error of a small GoogLeNet"),
    ),
    shown={
        "test_error": "test error",
        "train_error": "training error",
        "first_gradient": "gradient at conv1, first step",
        "params": "parameters, sides included",
    },
    paper_images="imagenet",
    differs=f"All nine modules of GoogLeNet, each with 40 maps, on {10 * EACH:,} "
    f"CIFAR-10 images of 16x16 pixels, {EPOCHS} epochs.",
    revised="a network of five modules, in which side classifiers did not help (one seed, by "
    "momentum and by Adam), became one of nine, as deep as the paper's; ten epochs became "
    "16, for after a quarter of ten one seed still guessed; the check of the gradient was "
    "added when it had been measured.",
)
