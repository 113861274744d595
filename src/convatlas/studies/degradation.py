"""Does a deeper network learn its training images better? Plain stacks against residual ones.

He, Zhang, Ren and Sun 2015, "Deep Residual Learning for Image Recognition", 1512.03385: Figures 1,
4 and 6, Table 2.
"""

from collections.abc import Sequence

from convatlas.recipes.resnet import RECIPES
from convatlas.studies.charts import curves
from convatlas.studies.checks import less_error, no_worse
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study
from convatlas.studies.thin_nets import difference, thin_case

DEPTHS: dict[Scale, tuple[int, int]] = {"small": (14, 32), "paper": (20, 56)}
EACH, EPOCHS = 40, 45  # training images of a class, at the small scale


def cases(scale: Scale) -> list[Case]:
    """Give a plain and a residual network of each depth."""
    depths = dict(zip(("shallow", "deep"), DEPTHS[scale], strict=True))
    return [
        thin_case(
            scale, f"{kind}, {word}", f"{network}{depth}_cifar", RECIPES["cifar10"],
            each=EACH, epochs=EPOCHS,
        )
        for kind, network in (("plain", "plain"), ("residual", "resnet"))
        for word, depth in depths.items()
    ]  # fmt: skip


def judge(results: Results) -> Sequence[Check]:
    """More depth hurts the plain network, in training; it does not hurt the residual one."""
    plain, residual = "plain, deep", "residual, deep"
    return [
        less_error(results, "plain, shallow", plain, by=3, metric="train_error"),
        no_worse(results, residual, "residual, shallow", slack=0.5, metric="train_error"),
        less_error(results, residual, plain, metric="train_error"),
    ]


STUDY = Study(
    name="degradation",
    title="Degradation: plain against residual at two depths",
    source="He et al. 2015 (1512.03385), section 4.2, Figures 1 and 6",
    why="A deeper network holds every shallower one: its further layers could pass their input on. "
    "Yet a plain stack of many layers learns even its training images worse, so that what fails "
    "is the search, not the network. Shortcuts let a layer begin as the identity.",
    claim="A deeper plain network has the higher training error; a deeper residual one has not.",
    published=(
        Published("plain-18, ImageNet", "27.94 %", "Table 2"),
        Published("plain-34, ImageNet", "28.54 %", "Table 2"),
        Published("ResNet-18, ImageNet", "27.88 %", "Table 2"),
        Published("ResNet-34, ImageNet", "25.03 %", "Table 2"),
        Published("ResNet-20, CIFAR-10", "8.75 %", "Table 6"),
        Published("ResNet-56, CIFAR-10", "6.97 %", "Table 6"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Training error over the epochs of plain and residual networks of two depths",
        curves("Training error of plain and residual networks"),
    ),
    shown={
        "train_error": "training error",
        "train_loss": "training loss",
        "test_error": "test error",
        "params": "parameters",
        "macs": "MACs",
    },
    differs="14 and 32 layers, not 20 and 56, and few images, so that minutes are enough to learn "
    "them by heart. " + difference(EACH, EPOCHS),
    revised="A first trial, with 20 and 56 layers, 2,000 images and 8 epochs, was too short: the "
    "residual net of 56 layers was at 57 %, that of 20 at 37 %. The margins are those of that "
    "trial.",
)
