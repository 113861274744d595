"""Which way to make a network larger? Deeper, wider, larger images, or a little of each.

Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
1905.11946: section 5.1, Table 3; Figure 8 and Table 7.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from convatlas.catalog import build
from convatlas.recipes.efficientnet import RECIPES
from convatlas.studies.charts import dots
from convatlas.studies.checks import at_most, less_error, no_worse
from convatlas.studies.lab import training_case
from convatlas.studies.small_nets import (
    CLASSES,
    NORMED,
    imagenet_case,
    small_images,
    small_recipe,
)
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

BASE, COMPOUND = "base", "compound"
SINGLE = ("depth alone", "width alone", "resolution alone")


class Scaled(NamedTuple):
    """A residual network: blocks of each stage, channels of each stage, pixels a side."""

    blocks: int
    widths: tuple[int, int, int]
    side: int


# multiply-adds: 1.68 million, then 6.1 to 6.3 million
SMALL = {
    BASE: Scaled(2, (8, 16, 32), 16),
    SINGLE[0]: Scaled(7, (8, 16, 32), 16),
    SINGLE[1]: Scaled(2, (15, 31, 62), 16),
    SINGLE[2]: Scaled(2, (8, 16, 32), 30),
    COMPOUND: Scaled(3, (10, 20, 40), 20),
}
# depth, width, side: Table 7
PAPER = {
    BASE: (1.0, 1.0, 224),
    SINGLE[0]: (4.0, 1.0, 224),
    SINGLE[1]: (1.0, 2.0, 224),
    SINGLE[2]: (1.0, 1.0, 448),
    COMPOUND: (1.4, 1.2, 291),
}
EACH, EPOCHS = 150, 6  # training images of a class
SPREAD = 1.08  # most that the costs of the scaled networks may differ


def cases(scale: Scale) -> list[Case]:
    """Give a network and four larger ones of equal cost."""
    if scale == "paper":
        return [
            imagenet_case(
                name,
                "efficientnet_b0",
                RECIPES["imagenet"],
                side=side,
                depth_mult=depth,
                width_mult=width,
            )
            for name, (depth, width, side) in PAPER.items()
        ]
    return [
        training_case(
            name,
            partial(build, f"resnet{6 * scaled.blocks + 2}_cifar", CLASSES, widths=scaled.widths),
            small_recipe(EPOCHS, NORMED),
            small_images(EACH, scaled.side),
        )
        for name, scaled in SMALL.items()
    ]


def judge(results: Results) -> Sequence[Check]:
    """At equal cost, scaling all three is no worse than the best of one, and better than none."""
    names = [*SINGLE, COMPOUND]
    costs = [results.mean(name, "macs") for name in names]
    return [
        at_most(
            f"the scaled networks' costs are within a factor of {SPREAD:g}",
            [max(costs) / min(costs)],
            SPREAD,
        ),
        less_error(results, COMPOUND, BASE, by=1),
        *(no_worse(results, COMPOUND, name, slack=0.3) for name in SINGLE),
    ]


STUDY = Study(
    name="compound_scaling",
    title="Compound scaling against one dimension alone",
    source="Tan & Le 2019 (1905.11946), section 5.1, Tables 3 and 7, Figure 8",
    why="A network can be made larger in three ways, and each alone saturates. Larger images want "
    "more layers, to see all of them, and more channels, for their finer details. EfficientNet "
    "scales the three together, by fixed powers of one number.",
    claim="At equal cost, scaling depth, width and resolution together gives more accuracy than "
    "scaling one of them.",
    published=(
        Published("EfficientNet-B0, top-1 accuracy", "77.3 %", "Table 7"),
        Published("depth 4", "79.0 %", "Table 7"),
        Published("width 2", "78.9 %", "Table 7"),
        Published("resolution 2", "79.1 %", "Table 7"),
        Published("compound 1.4, 1.2, 1.3", "81.1 %", "Table 7"),
        Published("ResNet-50, depth 4", "78.1 %", "Table 3"),
        Published("ResNet-50, compound", "78.8 %", "Table 3"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Test error of a network and of four that it was scaled to, at equal cost",
        dots("A residual network, scaled in four ways: error on CIFAR-10 images"),
    ),
    shown=ERRORS_AND_COSTS,
    paper_images="imagenet",
    differs="Table 3 scales a ResNet, too; here it is the one of 14 layers for CIFAR-10, half as "
    "wide and on images of half the size, scaled to 3.7 times its cost by depth 3.5, width 1.9, "
    f"resolution 1.9, or 1.5, 1.25 and 1.25; {10 * EACH:,} images, {EPOCHS} epochs.",
    if_failed="All but the wider network still have a higher training error than the small one "
    "that they were scaled from. They are far from what they could learn, so that this measures "
    "which network learns fastest, and deeper ones learn slowest.",
)
