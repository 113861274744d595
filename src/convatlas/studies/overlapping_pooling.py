"""Do poolings that overlap help? Windows of 3x3 against windows of 2x2, both with stride 2.

Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional Neural
Networks", section 3.4.
"""

from collections.abc import Sequence
from functools import partial

from torch import nn

from convatlas.catalog import build
from convatlas.recipes.alexnet import RECIPES
from convatlas.studies.charts import dots
from convatlas.studies.checks import less_error, no_worse
from convatlas.studies.lab import training_case
from convatlas.studies.small_nets import four_layers, imagenet, small_images, small_recipe
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study

WINDOWS = {"overlapping, 3x3": 3, "apart, 2x2": 2}  # height and width; the stride is 2
OVERLAPPING, APART = WINDOWS
EACH, EPOCHS = 300, 12  # training images of a class


def cases(scale: Scale) -> list[Case]:
    """Give the same network with both poolings; its maps have equal sizes."""
    if scale == "paper":
        return [
            training_case(name, partial(_alexnet, pool), RECIPES["imagenet"], imagenet(227))
            for name, pool in WINDOWS.items()
        ]
    return [
        training_case(
            name, partial(four_layers, pool=pool), small_recipe(EPOCHS), small_images(EACH)
        )
        for name, pool in WINDOWS.items()
    ]


def _alexnet(pool: int) -> nn.Module:
    """Build AlexNet with other poolings: maps of 55, 27 and 13 pixels are odd, so sizes stay."""
    net = build("alexnet")
    for name, layer in list(net.named_modules()):
        if isinstance(layer, nn.MaxPool2d):
            net.set_submodule(name, nn.MaxPool2d(pool, 2))
    return net


def judge(results: Results) -> Sequence[Check]:
    """Overlapping poolings have no more error, and a smaller gap: they overfit less."""
    return [
        no_worse(results, OVERLAPPING, APART, slack=0.2),
        less_error(results, OVERLAPPING, APART, metric="gap"),
    ]


STUDY = Study(
    name="overlapping_pooling",
    title="Overlapping pooling against pooling side by side",
    source="Krizhevsky et al. 2012, section 3.4",
    why="Until AlexNet, pooling cut a map into pieces that shared no pixel. AlexNet lets each "
    "window reach one pixel into the next: nothing that lies at a border is seen by one window "
    "alone. The maps are as large as before.",
    claim="With windows of 3x3 instead of 2x2, at the same stride, the test error is lower and the "
    "network overfits less.",
    published=(
        Published("gain on ImageNet 2010, top-1", "0.4 points", "section 3.4"),
        Published("gain on ImageNet 2010, top-5", "0.3 points", "section 3.4"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Test error of overlapping pooling and of pooling side by side",
        dots("Pooling of 3x3 against 2x2, stride 2: error on CIFAR-10 images"),
    ),
    shown={
        "test_error": "test error",
        "train_error": "training error",
        "gap": "test - training",
        "params": "parameters",
    },
    paper_images="imagenet",
    differs=f"A network of four layers on CIFAR-10 images of 16x16 pixels, {10 * EACH:,} of them, "
    f"{EPOCHS} epochs; no dropout.",
)
