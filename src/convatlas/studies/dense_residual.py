"""Does concatenation use parameters better than addition? DenseNet against ResNet.

Huang, Liu, van der Maaten and Weinberger 2016, "Densely Connected Convolutional Networks",
1608.06993: section 5, Figure 4.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from convatlas.catalog import build
from convatlas.recipes import densenet, resnet
from convatlas.studies.charts import against
from convatlas.studies.checks import at_least, less_error, no_worse
from convatlas.studies.images import Subset
from convatlas.studies.lab import training_case
from convatlas.studies.small_nets import (
    CLASSES,
    NORMED,
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

DENSE, SAME, LARGER = "dense", "residual, as large", "residual, twice as large"
NETWORKS: dict[Scale, dict[str, tuple[str, dict[str, Any]]]] = {
    "small": {
        DENSE: ("densenet_bc22_k12_cifar", {}),
        SAME: ("resnet20_cifar", {"widths": (8, 16, 32)}),
        LARGER: ("resnet20_cifar", {"widths": (12, 24, 48)}),
    },
    "paper": {
        DENSE: ("densenet_bc100_k12_cifar", {}),
        SAME: ("resnet56_cifar", {}),
        LARGER: ("resnet110_cifar", {}),
    },
}
EACH, EPOCHS = 150, 6  # training images of a class


def cases(scale: Scale) -> list[Case]:
    """Give a DenseNet-BC and two residual networks."""
    found = []
    for name, (network, changes) in NETWORKS[scale].items():
        make = partial(build, network, CLASSES, **changes)
        recipe, images = small_recipe(EPOCHS, NORMED), small_images(EACH)
        if scale == "paper":
            paper = densenet if name == DENSE else resnet
            recipe, images = paper.RECIPES["cifar10"], Subset("cifar10", None, None, None)
        found.append(training_case(name, make, recipe, images))
    return found


def judge(results: Results) -> Sequence[Check]:
    """The dense network beats a residual one of its size, and matches a larger one."""
    sizes = zip(results.values(LARGER, "params"), results.values(DENSE, "params"), strict=True)
    return [
        less_error(results, DENSE, SAME, by=1),
        no_worse(results, DENSE, LARGER, slack=1),
        at_least(
            "the larger residual network has at least 1.5 times the parameters",
            [larger / dense for larger, dense in sizes],
            1.5,
        ),
    ]


STUDY = Study(
    name="dense_residual",
    title="Parameter efficiency: dense against residual",
    source="Huang et al. 2016 (1608.06993), section 5, Figure 4",
    why="A residual block adds to what came before it; a dense layer keeps all of it and appends a "
    "few maps. Later layers then read early features directly, and none has to learn them "
    "again. So layers can be very thin, and a network needs fewer parameters.",
    claim="A dense network needs far fewer parameters than a residual one of the same error.",
    published=(
        Published("DenseNet-BC-100, k = 12: 0.8 M parameters", "4.51 %", "Figure 4, Table 2"),
        Published("pre-activation ResNet-1001: 10.2 M parameters", "4.62 %", "Figure 4"),
        Published("parameters for the same accuracy, DenseNet-BC / ResNet", "1/3", "section 5"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Test error over parameters of a dense and of two residual networks",
        against(
            "Dense and residual networks: error on CIFAR-10 images",
            "params",
            "parameters",
            groups={"DenseNet-BC": [DENSE], "ResNet": [SAME, LARGER]},
        ),
    ),
    shown=ERRORS_AND_COSTS,
    differs="DenseNet-BC of 22 layers, k = 12, against ResNet-20 of half and of three quarters of "
    f"its width; CIFAR-10 images of 16x16 pixels, {10 * EACH:,} of them, {EPOCHS} epochs. That the "
    "larger network may be better by a point is our allowance for noise. Where the paper compares "
    "pre-activation networks, these have the original order.",
    if_failed="The dense network beats the residual one of its size, and in the mean it matches "
    "the one of twice its size; but one of three seeds is 1.8 points behind, where we allow one. "
    "After so few epochs its training error is still the highest of the three.",
)
