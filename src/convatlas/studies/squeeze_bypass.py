"""Which shortcuts help SqueezeNet? None, around every second module, or around all of them.

Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 1602.07360:
section 6, Figure 2 and Table 3.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from convatlas.architectures.squeezenet import Bypass
from convatlas.catalog import build
from convatlas.data.loader import batches
from convatlas.layers import he_fan_in_
from convatlas.recipe import Adam, Recipe
from convatlas.recipes.squeezenet import RECIPES
from convatlas.schedules import Polynomial, Warmup
from convatlas.studies.charts import dots
from convatlas.studies.checks import exactly, less_error, no_worse
from convatlas.studies.lab import Lab, Trained, training_case
from convatlas.studies.small_nets import CLASSES, imagenet_case, small_images
from convatlas.studies.study import (
    ERRORS_AND_COSTS,
    Case,
    Chart,
    Check,
    Published,
    Results,
    Scale,
    Study,
)
from convatlas.train.tasks import VALIDATION_BATCH

VANILLA, SIMPLE, COMPLEX = "vanilla", "simple bypass", "complex bypass"
NETWORKS = {
    VANILLA: "squeezenet1_0",
    SIMPLE: "squeezenet1_0_bypass",
    COMPLEX: "squeezenet1_0_complex_bypass",
}
BYPASSES: dict[str, Bypass] = {VANILLA: "none", SIMPLE: "simple", COMPLEX: "complex"}
EACH, EPOCHS = 200, 12  # training images of a class
# a quarter of the filters; the second pooling is left out, as 32 pixels are few
SMALL: dict[str, Any] = {"conv1": (24, 3), "base_e": 32, "incr_e": 32, "pool_after": (5,)}
IMAGES = small_images(EACH, side=32)
_RECIPE = Recipe(
    where="our own: the paper's schedule, for minutes",
    batch_size=32,
    epochs=EPOCHS,
    optimizer=Adam(2e-3),
    schedule=Warmup(1, Polynomial(EPOCHS - 1)),
)


def cases(scale: Scale) -> list[Case]:
    """Give the three networks of Figure 2."""
    if scale == "paper":
        return [
            imagenet_case(name, network, RECIPES["imagenet"], side=227)
            for name, network in NETWORKS.items()
        ]
    return [
        training_case(
            name,
            partial(small_squeezenet, bypass),
            _RECIPE,
            IMAGES,
            also=lost_classes,
        )
        for name, bypass in BYPASSES.items()
    ]


def small_squeezenet(bypass: Bypass) -> nn.Module:
    """Build eight thin fire modules: (N, 3, 32, 32) -> (N, 10).

    First weights of all layers but conv10 are those of He et al. 2015: from the paper's, which
    shrink what passes a layer, the network without bypasses does not begin to learn within
    minutes. The biases of conv10 begin at 1: a ReLU follows it, and a class whose map is 0
    everywhere is lost for good.
    """
    net = build("squeezenet1_0", CLASSES, bypass=bypass, **SMALL)
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d) and name != "head.conv10":
            he_fan_in_(layer)
        elif isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.bias)
    return net


def lost_classes(trained: Trained, lab: Lab) -> Mapping[str, Any]:
    """Count the classes whose score is 0 for each test image."""
    split, preprocessing = lab.pictures(IMAGES).test, trained.task.preprocessing
    greatest = torch.zeros(len(trained.task.classes))
    with torch.inference_mode():
        for batch in batches(split, preprocessing, VALIDATION_BATCH):
            greatest = torch.maximum(greatest, trained.model(batch.images).amax(dim=0))
    return {"lost_classes": int((greatest == 0).sum())}


def judge(results: Results) -> Sequence[Check]:
    """Simple bypasses help; complex ones, which cost weights, don't help more."""
    params = [results.values(name, "params") for name in (SIMPLE, VANILLA)]
    return [
        less_error(results, SIMPLE, VANILLA),
        no_worse(results, SIMPLE, COMPLEX, slack=1),
        exactly(
            "simple bypasses add no parameters",
            [simple - vanilla for simple, vanilla in zip(*params, strict=True)],
            0,
        ),
        less_error(results, SIMPLE, COMPLEX, metric="params"),
    ]


STUDY = Study(
    name="squeeze_bypass",
    title="SqueezeNet with bypasses",
    source="Iandola et al. 2016 (1602.07360), section 6, Table 3",
    why="A fire module first squeezes its maps to an eighth. What does not pass that gate is lost. "
    "ResNet's shortcuts lead around it. Where a module gives as many maps as it takes, the "
    "shortcut is free; elsewhere it needs a 1x1 convolution.",
    claim="Shortcuts around every second module raise the accuracy at no cost, and more than "
    "shortcuts around all modules, which cost weights.",
    published=(
        Published("vanilla, top-1 accuracy", "57.5 %", "Table 3"),
        Published("simple bypass", "60.4 %", "Table 3"),
        Published("complex bypass", "58.8 %", "Table 3"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Test error of SqueezeNet without, with simple and with complex bypasses",
        dots("SqueezeNet and its bypasses: error on CIFAR-10 images"),
    ),
    shown=ERRORS_AND_COSTS,
    paper_images="imagenet",
    differs="A quarter of the filters, two poolings instead of three, CIFAR-10 images, "
    f"{10 * EACH:,} of them, {EPOCHS} epochs of Adam. First weights are He's: from the paper's the "
    "network without bypasses does not begin to learn in so short a training. That complex "
    "bypasses may be better than simple ones by a point is our allowance for noise.",
    if_failed="In the mean simple bypasses help, by two points, but not for every seed. Complex "
    "ones help more here, in training already: after so few epochs each further way around a "
    "squeeze layer of four filters still shows. The paper trains to the end.",
    revised="With the paper's first weights networks stayed at chance: He's weights, Adam, and "
    "biases of the last layer that begin at 1. In the version before that the network "
    "without bypasses lost to the simple bypass with all seeds, but one of its seeds stayed "
    "at chance.",
)
