"""Inception-ResNet: Inception-v4, Inception-ResNet and the Impact of Residual Connections.

Szegedy, Ioffe, Vanhoucke, Alemi; 2016: https://arxiv.org/abs/1602.07261 (AAAI 2017). The nets:
Figure 15. Modules: Figures 10 to 13 and 16 to 19. Scaled residuals: section 3.3. The paper's net
without residual connections stands in `inception_v4`. inception_resnet_v2 is the net that the
authors released in TF-slim and whose weights are in use; that of the figures is another one.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.architectures import inception_v3, inception_v4
from convatlas.architectures.bn_inception import draw_weights
from convatlas.architectures.googlenet import Inception, make_head
from convatlas.architectures.inception_v3 import GRID, STEM, Conv, make_branch, make_layer, valid
from convatlas.architectures.inception_v4 import (
    COLUMN,
    PAPER,
    ROW,
    check_dropout,
    make_average,
    make_reduction,
    make_reduction_a,
    make_stage,
)
from convatlas.card import Architecture, Variant
from convatlas.layers import check_images, drawn_once, image_sides, make_chain

Branch = tuple[Conv, ...]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Equal residual modules in a row."""

    count: int
    branches: tuple[Branch, ...]
    scale: float  # of the residual: section 3.3 recommends 0.1 to 0.3, TF-slim says which


@dataclass(frozen=True, slots=True)
class InceptionResNetSpec:
    """What tells one Inception-ResNet from another: the boxes of Figure 15.

    Attributes:
        stem: Builds it: in_channels -> stem.
        stem_channels: The maps that leave it.
        a: The modules of 35x35 maps.
        reduction_a: k, l, m, n of Table 1.
        b: The modules of 17x17 maps.
        reduction_b: The branches of the reduction to 8x8 maps, beside its pooling.
        c: The modules of 8x8 maps.
        last: Maps of a 1x1 convolution after a last module C of scale 1 and without ReLU, both
            only in the released net.
        dropout: Before the classifier; "keep 0.8" in Figure 15.
    """

    stem: Callable[[int], nn.Sequential]
    stem_channels: int
    a: Blocks
    reduction_a: tuple[int, int, int, int]
    b: Blocks
    reduction_b: tuple[Branch, Branch, Branch]
    c: Blocks
    last: int | None = None
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        check_dropout(self.dropout)


class ResidualInception(nn.Module):
    """ReLU(x + scale * a 1x1 convolution of branches): (N, C, H, W) -> (N, C, H, W).

    Figures 10, 11, 13; 16, 17, 19. The convolution has a bias, neither batch norm nor activation
    (section 3.2). `act=False` leaves the ReLU out.
    """

    def __init__(
        self, channels: int, branches: tuple[Branch, ...], scale: float, *, act: bool = True
    ) -> None:
        super().__init__()
        named = {f"branch{i}": make_branch(channels, *b) for i, b in enumerate(branches, start=1)}
        self.branches = Inception(named)
        self.expand = nn.Conv2d(sum(branch[-1].maps for branch in branches), channels, 1)
        self.scale = scale
        self.act = nn.ReLU() if act else None

    def forward(self, x: Tensor) -> Tensor:
        """Add the scaled residual to `x`."""
        y = x + self.scale * self.expand(self.branches(x))
        return y if self.act is None else self.act(y)

    def extra_repr(self) -> str:
        """Name the scale."""
        return f"scale={self.scale}"


def make_stem_v1(in_channels: int) -> nn.Sequential:
    """Build the stem of Inception-ResNet-v1 (Figure 14): 256 maps."""
    return make_chain(
        conv1=make_layer(in_channels, valid(32, 3, 2)),  # 149 x 149
        conv2=make_layer(32, valid(32, 3)),  # 147 x 147
        conv3=make_layer(32, Conv(64, 3)),  # 147 x 147
        pool=nn.MaxPool2d(3, 2),  # 73 x 73
        conv4=make_layer(64, Conv(80, 1)),  # 73 x 73
        conv5=make_layer(80, valid(192, 3)),  # 71 x 71
        conv6=make_layer(192, valid(256, 3, 2)),  # 35 x 35
    )


def make_stem_released(in_channels: int) -> nn.Sequential:
    """Build the stem of the released net: that of Inception-v3 and one module, 320 maps."""
    stem = inception_v3.make_stem(in_channels)
    branches = {
        "conv1x1": make_branch(192, Conv(96, 1)),
        "conv5x5": make_branch(192, Conv(48, 1), Conv(64, 5)),
        "double3x3": make_branch(192, Conv(64, 1), Conv(96, 3), Conv(96, 3)),
        "pool": make_branch(192, Conv(64, 1), pool=make_average()),
    }
    stem.add_module("Mixed_5b", Inception(branches))
    return stem


def make_blocks(name: str, channels: int, blocks: Blocks) -> nn.Sequential:
    """Build residual modules in a row, none of which changes the shape of its maps."""
    return make_stage(
        name, blocks.count, lambda: ResidualInception(channels, blocks.branches, blocks.scale)
    )


def make_stages(spec: InceptionResNetSpec) -> tuple[nn.Sequential, int]:
    """Build the modules of Figure 15; give them and the number of maps that leave the last."""
    stages, channels = OrderedDict[str, nn.Module](), spec.stem_channels
    stages["inception_resnet_a"] = make_blocks("inception_resnet_a", channels, spec.a)
    stages["reduction_a"] = make_reduction_a(channels, spec.reduction_a)
    channels += sum(spec.reduction_a[2:])
    stages["inception_resnet_b"] = make_blocks("inception_resnet_b", channels, spec.b)
    names = ("conv3x3a", "conv3x3b", "double3x3")
    branches = dict(zip(names, spec.reduction_b, strict=True))
    stages["reduction_b"] = make_reduction(channels, **branches)
    channels += sum(branch[-1].maps for branch in spec.reduction_b)
    stages["inception_resnet_c"] = make_blocks("inception_resnet_c", channels, spec.c)
    if spec.last is not None:
        end = ResidualInception(channels, spec.c.branches, 1.0, act=False)
        stages["inception_resnet_c"].add_module(f"inception_resnet_c{spec.c.count + 1}", end)
        stages["last"] = make_layer(channels, Conv(spec.last, 1))
        channels = spec.last
    return nn.Sequential(stages), channels


class InceptionResNet(nn.Module):
    """Stem, modules, classifier (Figure 15): (N, in_channels, H, W) -> (N, num_classes)."""

    @drawn_once
    def __init__(
        self, spec: InceptionResNetSpec, num_classes: int = 1000, in_channels: int = 3
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.least, _ = image_sides(1, [*STEM, GRID, GRID])
        self.stem = spec.stem(in_channels)
        self.stages, channels = make_stages(spec)
        self.head = make_head(channels, num_classes, spec.dropout)
        self.cam_layer = "stages.inception_resnet_c" if spec.last is None else "stages.last"

    def reset_parameters(self) -> None:
        """Draw fresh weights: N(0, 2 / fan_in), biases 0; the paper doesn't say."""
        draw_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images."""
        check_images(x, self.in_channels, (self.least, self.least), "stages.reduction_b")
        return self.head(self.stages(self.stem(x)))


_A2 = ((Conv(32, 1),), (Conv(32, 1), Conv(32, 3)), (Conv(32, 1), Conv(48, 3), Conv(64, 3)))
_B2 = ((Conv(192, 1),), (Conv(128, 1), Conv(160, ROW), Conv(192, COLUMN)))
_C2 = ((Conv(192, 1),), (Conv(192, 1), Conv(224, (1, 3)), Conv(256, (3, 1))))

V1 = InceptionResNetSpec(
    stem=make_stem_v1,
    stem_channels=256,
    a=Blocks(
        5,
        ((Conv(32, 1),), (Conv(32, 1), Conv(32, 3)), (Conv(32, 1), Conv(32, 3), Conv(32, 3))),
        0.17,
    ),
    reduction_a=(192, 192, 256, 384),  # 896 maps
    b=Blocks(10, ((Conv(128, 1),), (Conv(128, 1), Conv(128, ROW), Conv(128, COLUMN))), 0.1),
    reduction_b=(
        (Conv(256, 1), valid(384, 3, 2)),
        (Conv(256, 1), valid(256, 3, 2)),
        (Conv(256, 1), Conv(256, 3), valid(256, 3, 2)),
    ),  # 1792 maps
    c=Blocks(5, ((Conv(192, 1),), (Conv(192, 1), Conv(192, (1, 3)), Conv(192, (3, 1)))), 0.2),
)
V2_FIGURES = InceptionResNetSpec(
    stem=inception_v4.make_stem,
    stem_channels=384,
    a=Blocks(5, _A2, 0.17),
    reduction_a=(256, 256, 384, 384),  # 1152 maps; 1088 in the released net
    b=Blocks(10, _B2, 0.1),
    reduction_b=(
        (Conv(256, 1), valid(384, 3, 2)),
        (Conv(256, 1), valid(288, 3, 2)),
        (Conv(256, 1), Conv(288, 3), valid(320, 3, 2)),
    ),  # 2144 maps; 2080 in the released net
    c=Blocks(5, _C2, 0.2),
)
V2_RELEASED = InceptionResNetSpec(
    stem=make_stem_released,
    stem_channels=320,
    a=Blocks(10, _A2, 0.17),
    reduction_a=V2_FIGURES.reduction_a,
    b=Blocks(20, _B2, 0.1),
    reduction_b=V2_FIGURES.reduction_b,
    c=Blocks(9, _C2, 0.2),
    last=1536,
)

ARCHITECTURE = Architecture(
    PAPER,
    InceptionResNet,
    {
        "inception_resnet_v1": Variant(V1, input_shape=(3, 299, 299)),
        "inception_resnet_v2": Variant(
            V2_RELEASED,
            input_shape=(3, 299, 299),
            deviation="The net that the authors released (TF-slim): Inception-v3's stem, 10, 20 "
            "and 10 residual modules where Figure 15 has 5, 10 and 5, and a last 1x1 convolution.",
        ),
        "inception_resnet_v2_paper": Variant(V2_FIGURES, input_shape=(3, 299, 299)),
    },
    deviations=(
        "Residuals are scaled by 0.17, 0.1 and 0.2, as in TF-slim; section 3.3 says 0.1 to 0.3.",
        "Modules have the maps that their branches add up to: 1152 and 2144 in "
        "inception_resnet_v2_paper, where Figures 17 and 19 print 1154 and 2048.",
    ),
    builds_on={
        "resnet": "A shortcut around each module (section 3.2).",
    },
)
