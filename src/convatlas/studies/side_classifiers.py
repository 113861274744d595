"""Do classifiers in the middle of a deep network help to train it?

Szegedy, Liu, Jia et al. 2014, "Going Deeper with Convolutions", 1409.4842: section 5.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from convatlas.architectures.googlenet import Row
from convatlas.recipe import Adam, Recipe
from convatlas.recipes.googlenet import RECIPES
from convatlas.studies.charts import curves
from convatlas.studies.checks import no_worse
from convatlas.studies.lab import training_case
from convatlas.studies.small_inception import SmallInception
from convatlas.studies.small_nets import imagenet_case, small_images, small_recipe
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study

WITH, WITHOUT = "side classifiers", "none"
_ROW = Row(16, 16, 24, 4, 8, 8)  # 56 maps leave it
ROWS = {"3a": _ROW, "3b": _ROW, "pool3": None, "4a": _ROW, "4b": _ROW, "4c": _ROW}
BEHIND = ("3b", "4b")
EARLY = 0.25  # of the training
SLACK = 1.0  # points
WHERE = "our own: by momentum, a thin network of eleven layers learns little in minutes"
EACH, EPOCHS = 200, 12  # training images of a class


def cases(scale: Scale) -> list[Case]:
    """Give the same network, without batch norm, with side classifiers and without."""
    if scale == "paper":
        recipe = RECIPES["imagenet"]
        return [
            imagenet_case(WITH, "googlenet", recipe, sides=True),
            imagenet_case(WITHOUT, "googlenet", _without_sides(recipe)),
        ]
    images = small_images(EACH)
    return [
        training_case(
            WITH,
            partial(SmallInception, ROWS, sides=BEHIND),
            small_recipe(EPOCHS, Adam(2e-3), where=WHERE, sides=True),
            images,
        ),
        training_case(
            WITHOUT,
            partial(SmallInception, ROWS),
            small_recipe(EPOCHS, Adam(2e-3), where=WHERE),
            images,
        ),
    ]


def judge(results: Results) -> Sequence[Check]:
    """Learning begins faster, and the end is no worse."""
    early = [_early(results, name) for name in (WITHOUT, WITH)]
    gains = tuple(without - with_ for without, with_ in zip(*early, strict=True))
    return [
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
        "params": "parameters, sides included",
        "macs": "MACs without sides",
    },
    paper_images="imagenet",
    differs=f"A GoogLeNet of five modules, with side classifiers behind the second and the fourth, "
    f"on {10 * EACH:,} CIFAR-10 images of 16x16 pixels, {EPOCHS} epochs.",
)
