"""Where do batch norm and ReLU belong in a residual unit? The five orders of Figure 4.

He, Zhang, Ren and Sun 2016, "Identity Mappings in Deep Residual Networks", 1603.05027: section 4,
Table 2, Figure 4.
"""

from collections.abc import Sequence
from typing import Any

from convatlas.architectures.preact_resnet import FIGURE_4
from convatlas.recipes.preact_resnet import RECIPES
from convatlas.studies.charts import dots
from convatlas.studies.checks import at_least, no_worse
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study
from convatlas.studies.thin_nets import difference, thin_case

NETWORK = "preact_resnet110_cifar"
BLOCKS = (7, 7, 7)  # 44 layers, at the small scale
EACH, EPOCHS = 100, 8  # training images of a class, at the small scale


def cases(scale: Scale) -> list[Case]:
    """Give the network with each order."""
    smaller: dict[str, Any] = {"blocks": BLOCKS} if scale == "small" else {}
    return [
        thin_case(
            scale, order, NETWORK, RECIPES["cifar10"],
            each=EACH, epochs=EPOCHS, activation=order, **smaller,
        )
        for order in FIGURE_4
    ]  # fmt: skip


def judge(results: Results) -> Sequence[Check]:
    """Activating before the weights is no worse than the original; batch norm on the sum is bad."""
    others = [order for order in FIGURE_4 if order != "bn_after_add"]
    by_seed = zip(*(results.values(order, "test_error") for order in others), strict=True)
    second = [sorted(row)[-2] for row in by_seed]
    bad = results.values("bn_after_add", "test_error")
    return [
        no_worse(results, "full_preact", "original", slack=0.3),
        at_least(
            "of the five, at most one has more test error than bn_after_add",
            [error - other for error, other in zip(bad, second, strict=True)],
            0,
        ),
    ]


STUDY = Study(
    name="preact_orders",
    title="Batch norm and ReLU: the five orders of a residual unit",
    source="He et al. 2016 (1603.05027), section 4, Table 2",
    why="What stands after the addition stands in the way of every shortcut. With batch norm and "
    "ReLU before the convolutions the shortcuts of all units join to one clean path, and networks "
    "of a thousand layers can be trained.",
    claim="Activating fully before the weights is at least as good as the original order; batch "
    "norm after the addition is among the worst of five.",
    published=tuple(
        Published(f"ResNet-{depth}, {order}", f"{error} %", "Table 2")
        for depth, errors in {
            110: ("6.61", "8.17", "7.84", "6.71", "6.37"),
            164: ("5.93", "6.50", "6.14", "5.91", "5.46"),
        }.items()
        for order, error in zip(FIGURE_4, errors, strict=True)
    ),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Test error by the order of batch norm and ReLU in a unit",
        dots("Test error of a pre-activation ResNet by the order in its units"),
    ),
    shown={
        "test_error": "test error",
        "train_error": "training error",
        "train_loss": "training loss",
        "params": "parameters",
    },
    differs="44 layers, not 110; in so few steps ReLU alone before the weights is better still, "
    "which the paper finds between the two. " + difference(EACH, EPOCHS),
    revised="44 layers instead of 56, for cost. The claim says at least as good as the original "
    "order, no longer the best of five, for ReLU alone before the weights is ahead here; the "
    "checks are as they were.",
)
