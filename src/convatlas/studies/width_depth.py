"""Deep and thin, or shallow and wide? Two residual networks of as many parameters.

Zagoruyko and Komodakis 2016, "Wide Residual Networks", 1605.07146: section 3, Figure 4 and Table 5.
"""

import copy
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F

from convatlas.catalog import build
from convatlas.recipes import preact_resnet, wide_resnet
from convatlas.studies.charts import dots
from convatlas.studies.checks import at_most, no_worse
from convatlas.studies.images import Subset
from convatlas.studies.lab import Lab, Trained, training_case
from convatlas.studies.small_nets import (
    CLASSES,
    NORMED,
    small_images,
    small_recipe,
)
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study

DEEP, WIDE = "deep and thin", "shallow and wide"
# bottlenecks of three convolutions, as in ResNet-164 and ResNet-1001: 56 layers
THIN = {"widths": (12, 24, 48), "blocks": (6, 6, 6)}
EACH, EPOCHS = 150, 6  # training images of a class
BATCH, STEPS = 32, 6  # timed steps


def cases(scale: Scale) -> list[Case]:
    """Give a deep bottleneck network and a wide one that has no more parameters."""
    if scale == "paper":
        everything = Subset("cifar10", None, None, None)
        networks = {
            DEEP: (partial(build, "preact_resnet1001_cifar"), preact_resnet.RECIPES["cifar10"]),
            WIDE: (partial(build, "wide_resnet40_4_cifar"), wide_resnet.RECIPES["cifar10"]),
        }
        return [
            training_case(name, make, recipe, everything, also=step_seconds)
            for name, (make, recipe) in networks.items()
        ]
    makes = {
        DEEP: partial(build, "preact_resnet164_cifar", CLASSES, **THIN),
        WIDE: partial(build, "wide_resnet10_2_cifar", CLASSES),
    }
    recipe = small_recipe(EPOCHS, NORMED)
    return [
        training_case(name, make, recipe, small_images(EACH), also=step_seconds)
        for name, make in makes.items()
    ]


def step_seconds(trained: Trained, lab: Lab) -> Mapping[str, Any]:
    """Time forward and backward of a batch: seconds of processor, the least of several."""
    generator = torch.Generator().manual_seed(lab.seed)
    shape = (BATCH, trained.pictures.card.channels, *trained.task.preprocessing.size)
    images = torch.randn(shape, generator=generator)
    labels = torch.randint(len(trained.task.classes), (BATCH,), generator=generator)
    model, taken = copy.deepcopy(trained.model).train(), []
    for _ in range(STEPS):
        begun = time.process_time()
        F.cross_entropy(model(images), labels).backward()
        taken.append(time.process_time() - begun)
    return {"step_seconds": min(taken)}


def judge(results: Results) -> Sequence[Check]:
    """The wide network is as good, with no more parameters, and much quicker."""
    return [
        no_worse(results, WIDE, DEEP, slack=0.5),
        at_most("the wide network has no more parameters", _ratios(results, "params"), 1.0),
        at_most(
            "a step of the wide network takes at most 0.7 of the deep one's time",
            _ratios(results, "step_seconds"),
            0.7,
        ),
    ]


def _ratios(results: Results, metric: str) -> list[float]:
    pairs = zip(results.values(WIDE, metric), results.values(DEEP, metric), strict=True)
    return [wide / deep for wide, deep in pairs]


STUDY = Study(
    name="width_depth",
    title="Shallow and wide against deep and thin",
    source="Zagoruyko & Komodakis 2016 (1605.07146), section 3, Figure 4, Table 5",
    why="Residual networks had reached a thousand layers, each gain of a fraction of a percent for "
    "twice the depth. Their blocks were as thin as could be. Wide ResNet asks what the same "
    "parameters do in few and wide layers: they learn as much, and processors compute wide layers "
    "faster than many thin ones after each other.",
    claim="With no more parameters, a shallow and wide residual network is as accurate as a very "
    "deep and thin one, and trains several times faster.",
    published=(
        Published("pre-activation ResNet-1001, 10.2 M parameters", "4.92 %", "Table 5"),
        Published("WRN-40-4, 8.9 M parameters", "4.53 %", "Table 5"),
        Published("time of a step, ResNet-1001 / WRN-40-4", "8", "section 3"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Test error of a deep and thin and of a shallow and wide residual network",
        dots("Deep and thin, shallow and wide: error on CIFAR-10 images"),
    ),
    shown={
        "test_error": "test error",
        "train_error": "training error",
        "step_seconds": "seconds a step",
        "params": "parameters",
        "macs": "MACs",
    },
    differs="56 layers against 10 instead of 1001 against 40; CIFAR-10 images of 16x16 pixels, "
    f"{10 * EACH:,} of them, {EPOCHS} epochs. Times are of one core of a processor; the paper "
    "took a graphics card.",
)
