"""More paths, or wider ones, at the same cost? ResNeXt's cardinality.

Xie, Girshick, Dollar, Tu and He 2016, "Aggregated Residual Transformations for Deep Neural
Networks", 1611.05431: section 5.1, Tables 2 and 3, Figure 5.
"""

import itertools
from collections.abc import Sequence
from functools import partial

from torch import nn

from convatlas.architectures.resnet import Bottleneck, ResNet, ResNetSpec, Shortcut
from convatlas.recipes.resnext import RECIPES
from convatlas.studies.charts import dots
from convatlas.studies.checks import at_most, less_error, no_worse
from convatlas.studies.lab import training_case
from convatlas.studies.small_nets import (
    CHANNELS,
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

Template = tuple[int, int]  # paths, channels of each in the first stage
TEMPLATES: dict[Scale, tuple[Template, ...]] = {
    "small": ((1, 24), (2, 15), (4, 9), (8, 5)),
    "paper": ((1, 64), (2, 40), (4, 24), (8, 14), (32, 4)),  # Table 3
}
WIDTHS = (24, 48, 96)  # a bottleneck gives four times as many channels
SIDE, EACH, EPOCHS = 12, 150, 5  # pixels, training images of a class
SPREAD = 0.1  # most that costs and parameters may differ; the paper's differ by 4 %


def cases(scale: Scale) -> list[Case]:
    """Give a network for each template: all cost the same."""
    if scale == "paper":
        networks = [f"resne{'t' if c == 1 else 'xt'}50_{c}x{d}d" for c, d in TEMPLATES["paper"]]
        return [
            imagenet_case(_name(template), network, RECIPES["imagenet"])
            for template, network in zip(TEMPLATES["paper"], networks, strict=True)
        ]
    return [
        training_case(
            _name(template),
            partial(small_resnext, *template),
            small_recipe(EPOCHS, NORMED),
            small_images(EACH, SIDE),
        )
        for template in TEMPLATES["small"]
    ]


def _name(template: Template) -> str:
    return f"{template[0]} x {template[1]}d"


def small_resnext(cardinality: int, path_width: int) -> nn.Module:
    """Build three bottlenecks, each with `cardinality` paths: (N, 3, H, W) -> (N, 10).

    A path has `path_width` channels in the first stage, and twice as many in each further one.
    """

    def block(
        in_channels: int, width: int, out_channels: int, stride: int, shortcut: Shortcut | None
    ) -> nn.Module:
        inner = cardinality * path_width * width // WIDTHS[0]
        return Bottleneck(
            in_channels,
            inner,
            out_channels,
            stride,
            shortcut,
            groups=cardinality,
            stride_on="3x3",
        )

    spec = ResNetSpec(block, (1, 1, 1), WIDTHS, expansion=4, stem="cifar")
    return ResNet(spec, CLASSES, CHANNELS)


def judge(results: Results) -> Sequence[Check]:
    """More paths are no worse at each step but for noise, and the most are better than one."""
    names = results.cases
    return [
        *(
            at_most(
                f"{metric} differ by at most {SPREAD:.0%}",
                [_spread([results.mean(name, metric) for name in names])],
                SPREAD,
            )
            for metric in ("params", "macs")
        ),
        less_error(results, names[-1], names[0]),
        less_error(results, names[-1], names[0], metric="train_error"),
        *(no_worse(results, more, fewer, slack=1) for fewer, more in itertools.pairwise(names)),
    ]


def _spread(values: Sequence[float]) -> float:
    return max(values) / min(values) - 1


STUDY = Study(
    name="cardinality",
    title="Cardinality: more paths at the same cost",
    source="Xie et al. 2016 (1611.05431), section 5.1, Table 3",
    why="A network can be made better by depth or by width. ResNeXt adds a third way: many thin "
    "paths of one shape in a block, added up. A grouped convolution computes them all. Thinner "
    "paths leave room for more channels at the same cost.",
    claim="At the same cost, more and thinner paths give a lower error, in training and in test.",
    published=(
        Published("ResNet-50, 1 x 64d", "23.9 %", "Table 3"),
        Published("ResNeXt-50, 2 x 40d", "23.0 %", "Table 3"),
        Published("ResNeXt-50, 4 x 24d", "22.6 %", "Table 3"),
        Published("ResNeXt-50, 8 x 14d", "22.3 %", "Table 3"),
        Published("ResNeXt-50, 32 x 4d", "22.2 %", "Table 3"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Test error by number of paths, at equal cost",
        dots("ResNeXt's paths at equal cost: error on CIFAR-10 images"),
    ),
    shown=ERRORS_AND_COSTS,
    paper_images="imagenet",
    differs=f"Three blocks instead of 16, CIFAR-10 images of {SIDE}x{SIDE} pixels, "
    f"{10 * EACH:,} of them, {EPOCHS} epochs; up to 8 paths, for 32 would have one channel each. "
    "That a step may lose a point is our allowance for noise.",
    if_failed="The four networks differ by 0.3 points, less than their seeds do, and more paths "
    "have the higher training error: after five epochs of 1,500 images nothing of the paper's "
    "1.7 points can show.",
)
