"""Does local response normalization lower the error? AlexNet says yes, VGG says no.

Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional Neural
Networks", section 3.3. Simonyan and Zisserman 2014, 1409.1556, Table 3: A against A-LRN.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from convatlas.architectures.alexnet import PAPER
from convatlas.recipes.alexnet import RECIPES
from convatlas.studies.charts import dots
from convatlas.studies.checks import less_error
from convatlas.studies.lab import training_case
from convatlas.studies.small_nets import (
    four_layers,
    imagenet_case,
    response_norm,
    small_images,
    small_recipe,
)
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study

WITHOUT, WITH, WEAK = "none", "normalized", "normalized, alpha as printed"
ALPHA = 1e-4  # as printed, where pixels are 0 to 255
DEVIATION = 63.0  # of CIFAR-10's pixels in those units; ours are divided by it
EACH, EPOCHS = 300, 10  # training images of a class


def cases(scale: Scale) -> list[Case]:
    """Give the network without normalization, with it, and with a constant that hardly acts."""
    if scale == "paper":
        recipe = RECIPES["imagenet"]
        bare = {
            name: replace(row, after=tuple(part for part in row.after if part != "norm"))
            for name, row in PAPER.items()
        }
        return [
            imagenet_case(WITHOUT, "alexnet", recipe, side=227, rows=bare),
            imagenet_case(WITH, "alexnet", recipe, side=227),
        ]
    recipe, images = small_recipe(EPOCHS), small_images(EACH)
    norms = {
        WITHOUT: None,
        WITH: response_norm(ALPHA * DEVIATION**2),
        WEAK: response_norm(ALPHA),
    }
    return [
        training_case(name, partial(four_layers, norm=norm), recipe, images)
        for name, norm in norms.items()
    ]


def judge(results: Results) -> Sequence[Check]:
    """Normalization lowers the test error."""
    return [less_error(results, WITH, WITHOUT)]


STUDY = Study(
    name="lrn",
    title="Local response normalization on and off",
    source="Krizhevsky et al. 2012, section 3.3; Simonyan and Zisserman 2014, Table 3",
    why="AlexNet lets neighbouring maps compete: each value is divided by the energy of five maps "
    "at its place. Two years later VGG found no gain from it, and nobody has used it since.",
    claim="The same network has the lower test error with local response normalization.",
    published=(
        Published("gain on ImageNet 2010, top-1", "1.4 points", "AlexNet, section 3.3"),
        Published("gain on ImageNet 2010, top-5", "1.2 points", "AlexNet, section 3.3"),
        Published("CIFAR-10, four layers, without", "13 %", "AlexNet, section 3.3"),
        Published("CIFAR-10, four layers, with", "11 %", "AlexNet, section 3.3"),
        Published("VGG A, without", "29.6 %", "VGG, Table 3"),
        Published("VGG A-LRN, with", "29.7 %", "VGG, Table 3"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Test error without and with local response normalization",
        dots("Local response normalization: error on CIFAR-10 images"),
    ),
    shown={
        "test_error": "test error",
        "train_error": "training error",
        "gap": "test - training",
        "params": "parameters",
    },
    paper_images="imagenet",
    differs=f"A network of four layers on CIFAR-10 images of 16x16 pixels, {10 * EACH:,} of them, "
    f"{EPOCHS} epochs. The paper's alpha of 1e-4 is for pixels of 0 to 255; ours are divided by "
    "their deviation of 63, so alpha is 63 squared times as large. A third case keeps it as "
    "printed, so that the sum hardly acts and all that is left is a division by the constant "
    "2^0.75. The error falls as much there: it is the smaller scale that helps, and the "
    "competition between maps only narrows the gap between training and test.",
)
