"""Do distorted copies of the training images help? LeNet-5 with and without them.

LeCun, Bottou, Bengio and Haffner 1998, "Gradient-Based Learning Applied to Document Recognition",
section III-B and Figure 9.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from convatlas.catalog import build
from convatlas.data.augment import Affine, Resize
from convatlas.recipes.lenet5 import RECIPES
from convatlas.studies.charts import dots
from convatlas.studies.checks import less_error
from convatlas.studies.images import Subset
from convatlas.studies.lab import training_case
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study

PLAIN, DISTORTED = "as they are", "distorted copies"
SIDE = 32  # pixels; digits of 28 get a border
EACH, EPOCHS = 100, 30  # training digits of a class
AFFINE = Affine(translate=0.1, scale=(0.85, 1.15), shear=15.0)


def cases(scale: Scale) -> list[Case]:
    """Give LeNet-5 trained on the digits, and for as many steps on copies of them."""
    if scale == "paper":
        recipes = {PLAIN: RECIPES["paper"], DISTORTED: RECIPES["paper_distorted"]}
        subset = Subset("mnist", None, None, None)
    else:
        recipe, subset = RECIPES["mnist"].lasting(EPOCHS), Subset("mnist", EACH, 20, None)
        recipes = {
            PLAIN: replace(recipe, augment=(Resize(),)),
            DISTORTED: replace(recipe, augment=(Resize(), AFFINE)),
        }
    make = partial(build, "lenet5")
    return [
        training_case(name, make, recipe, subset, side=SIDE) for name, recipe in recipes.items()
    ]


def judge(results: Results) -> Sequence[Check]:
    """Distorted copies lower the test error."""
    return [less_error(results, DISTORTED, PLAIN, by=0.5)]


STUDY = Study(
    name="distortions",
    title="Training on distorted copies",
    source="LeCun et al. 1998, section III-B, Figure 9",
    why="A digit that is moved, stretched or slanted a little is the same digit. The network can't "
    "know that unless it is shown. LeCun's group added nine distorted copies of each training "
    "digit; nearly every network since is trained on images that are changed at random.",
    claim="Added distorted copies of the training digits lower the test error.",
    published=(
        Published("60,000 digits", "0.95 %", "Figure 9"),
        Published("and 540,000 distorted copies", "0.8 %", "Figure 9"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Test error of LeNet-5 trained with and without distorted digits",
        dots("LeNet-5 with and without distorted copies: error on MNIST"),
    ),
    shown={
        "test_error": "test error",
        "train_error": "training error",
        "test_loss": "test loss",
    },
    images="mnist",
    differs=f"{10 * EACH:,} training digits instead of 60,000, {EPOCHS} epochs of momentum. Each "
    "epoch distorts every digit anew, for as many steps as without; the paper adds nine copies of "
    "each and keeps the original. It does not print how far it distorts.",
)
