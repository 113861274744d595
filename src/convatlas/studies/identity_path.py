"""What may stand on the shortcut of a residual unit? How much of the gradient five of them pass on.

He, Zhang, Ren and Sun 2016, "Identity Mappings in Deep Residual Networks", 1603.05027: section 2,
equations 5 and 8, and section 3, Table 1, Figure 2.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from convatlas.catalog import build
from convatlas.layers import ResidualUnit
from convatlas.studies.charts import curves
from convatlas.studies.checks import at_least, times_as_much
from convatlas.studies.gradients import first_batch, gradient_norms
from convatlas.studies.images import Subset
from convatlas.studies.lab import Lab, Make
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study

NETWORK, CLASSES = "preact_resnet110_cifar", 10
CLEAN, AFTER = "identity", "identity, ReLU after the sum"
SHORTCUTS: dict[str, dict[str, Any]] = {  # Figure 2, in the units that equations 5 and 8 are of
    CLEAN: {},
    AFTER: {"activation": "original"},
    "scaling by 0.5": {"shortcut_mode": "scaling_0.5_0.5"},
    "gating": {"shortcut_mode": "shortcut_only_gating", "gate_bias": 0.0},
    "1x1 convolution": {"shortcut": "C"},
}
HINDERED = ("scaling by 0.5", "gating", "1x1 convolution")
_SUBSETS = {"small": Subset("cifar10", 10, 1, 1), "paper": Subset("cifar10", None, None, None)}
_BATCHES = {"small": 32, "paper": 128}  # images that the gradient is measured on


def cases(scale: Scale) -> list[Case]:
    """Give the network with each shortcut; none is trained."""
    subset, count = _SUBSETS[scale], _BATCHES[scale]
    images = {"images": subset.to_dict(), "batch": count}
    return [
        Case(
            name,
            partial(
                _measure, make=partial(build, NETWORK, CLASSES, **options), subset=subset,
                count=count,
            ),
            {"network": NETWORK, "options": options, **images},
        )
        for name, options in SHORTCUTS.items()
    ]  # fmt: skip


def _measure(lab: Lab, *, make: Make, subset: Subset, count: int) -> Mapping[str, Any]:
    net = lab.fresh(make)
    images, labels = first_batch(lab.pictures(subset), count, lab.seed)
    units = [module for module in net.modules() if isinstance(module, ResidualUnit)]
    whole = gradient_norms(net, units, images, labels)
    branches = [unit.branch for unit in units]
    alone = gradient_norms(net, units, images, labels, cut=branches)
    return {
        "shortcuts_left": left_in_stages(net, alone),
        "all_left": left_in_stages(net, whole),
        "shortcut_gradients": [norm / alone[-1] or None for norm in alone],  # none: 0
        "all_gradients": [norm / whole[-1] for norm in whole],
    }


def left_in_stages(net: nn.Module, norms: Sequence[float]) -> float:
    """Give how much of the gradient is left on its way from the last unit to the first.

    Each stage counts for itself, from its last unit to its first, and their shares are
    multiplied: equations 5 and 8 are of units that keep the size.
    """
    share, begun = 1.0, 0
    for stage in net.get_submodule("stages").children():
        ended = begun + len(list(stage.children()))
        # with a ReLU after each sum there may be no place that all of them let through
        share *= norms[begun] / norms[ended - 1] if norms[ended - 1] else 0.0
        begun = ended
    return share


def judge(results: Results) -> Sequence[Check]:
    """Identities pass the gradient on; a factor on each shortcut makes it vanish or explode."""
    clean = results.values(CLEAN, "shortcuts_left")
    after = results.values(AFTER, "shortcuts_left")
    return [
        at_least("identities alone pass on 99 % of the gradient", clean, 0.99),
        at_least(
            "of all of the gradient at least a tenth arrives",
            results.values(CLEAN, "all_left"),
            0.1,
        ),
        at_least(
            "a ReLU after the sum stops some of it",
            [whole - part for whole, part in zip(clean, after, strict=True)],
            0,
        ),
        *(
            times_as_much(
                f"{name}: a thousand times less, or more, passes the shortcuts than enters them",
                [factor_from_1(left) for left in results.values(name, "shortcuts_left")],
                1000,
            )
            for name in HINDERED
        ),
    ]


def factor_from_1(share: float) -> float:
    """Give how many times smaller or larger than 1 a share is, up to 10^30."""
    return min(max(share, 1 / share), 1e30) if share else 1e30


STUDY = Study(
    name="identity_path",
    title="The identity path: what may stand on a shortcut",
    source="He et al. 2016 (1603.05027), sections 2 and 3, Table 1",
    why="Along identities the gradient of the last unit reaches every other one whole: it is one "
    "term of a sum that nothing multiplies. A factor, a gate or a convolution on the shortcut is "
    "multiplied once for each unit, and half of a half of a half soon is nothing. Trained, such "
    "networks end with twice the error.",
    claim="Through the units of a deep network identities pass the gradient on whole; through "
    "shortcuts that are scaled, gated or convolved it vanishes or explodes.",
    published=(
        Published("ResNet-110, identity, error", "6.61 %", "Table 1"),
        Published("ResNet-110, 0.5 x + 0.5 F, error", "12.35 %", "Table 1"),
        Published("ResNet-110, shortcut-only gating, bias 0, error", "12.86 %", "Table 1"),
        Published("ResNet-110, 1x1 convolution, error", "12.22 %", "Table 1"),
        Published("ResNet-110, identity, pre-activation, error", "6.37 %", "Table 2"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Gradient that shortcuts alone pass on to each unit of a 110-layer network before training",
        curves(
            "Gradient through the shortcuts of a fresh 110-layer network",
            "shortcut_gradients",
            "of that at the last unit",
            scale=1.0,
            log=True,
            x_label="residual unit, from the image on",
        ),
    ),
    shown={
        "shortcuts_left": "gradient left by shortcuts alone",
        "all_left": "gradient left in all",
    },
    differs="The network is the paper's; gradients before training, of 32 images, stand for its "
    "trainings. In all the gradient does not vanish, for batch norm lets the branches carry what "
    "shortcuts lose; it is not even either, but grows towards the image in every network, least "
    "with identities.",
    revised="A check that the gradient stays within tenfold over all blocks was left out: in all "
    "networks it grows towards the image. Scaling, gating and convolution are compared in the "
    "pre-activation unit, in which no ReLU masks the path as well. That a shortcut explodes "
    "counts as well as that it vanishes; the factor of a thousand is asked of the geometric "
    "mean, and the sign of each seed.",
)
