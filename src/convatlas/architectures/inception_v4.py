"""Inception-v4: Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning.

Szegedy, Ioffe, Vanhoucke, Alemi; 2016: https://arxiv.org/abs/1602.07261 (AAAI 2017). The net:
Figure 9. Its modules: Figures 3 to 8. It has no residual connections; the networks of the same
paper that have stand in `inception_resnet`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.architectures.bn_inception import draw_weights
from convatlas.architectures.googlenet import Inception, make_head
from convatlas.architectures.inception_v3 import GRID, STEM, Conv, make_branch, make_layer, valid
from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.layers import check_images, drawn_once, image_sides, make_chain

ROW, COLUMN = (1, 7), (7, 1)
TABLE_1 = (192, 224, 256, 384)  # k, l, m, n of Reduction-A


@dataclass(frozen=True, slots=True)
class InceptionV4Spec:
    """What can be told of an Inception-v4: the dropout; "keep 0.8" in Figure 9."""

    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        check_dropout(self.dropout)


def check_dropout(dropout: float) -> None:
    """Refuse what is no probability."""
    if not 0 <= dropout < 1:
        raise InputError(f"dropout must be at least 0 and less than 1, not {dropout!r}")


def make_average() -> nn.AvgPool2d:
    """Build the average over 3x3 pixels that leaves out those beyond the border (TF-slim)."""
    return nn.AvgPool2d(3, 1, 1, count_include_pad=False)


def make_stem(in_channels: int) -> nn.Sequential:
    """Build the stem (Figure 3): 299x299 pixels -> 384 maps of 35x35."""
    fork1 = {"pool": nn.MaxPool2d(3, 2), "conv3x3": make_branch(64, valid(96, 3, 2))}
    fork2 = {
        "conv3x3": make_branch(160, Conv(64, 1), valid(96, 3)),
        "conv7x7": make_branch(160, Conv(64, 1), Conv(64, ROW), Conv(64, COLUMN), valid(96, 3)),
    }
    fork3 = {"conv3x3": make_branch(192, valid(192, 3, 2)), "pool": nn.MaxPool2d(3, 2)}
    return make_chain(
        conv1=make_layer(in_channels, valid(32, 3, 2)),  # 149 x 149
        conv2=make_layer(32, valid(32, 3)),  # 147 x 147
        conv3=make_layer(32, Conv(64, 3)),  # 147 x 147
        concat1=Inception(fork1),  # 160 x 73 x 73
        concat2=Inception(fork2),  # 192 x 71 x 71
        concat3=Inception(fork3),  # 384 x 35 x 35
    )


def make_a(in_channels: int) -> Inception:
    """Build Inception-A (Figure 4): 384 maps."""
    return Inception(
        {
            "conv1x1": make_branch(in_channels, Conv(96, 1)),
            "conv3x3": make_branch(in_channels, Conv(64, 1), Conv(96, 3)),
            "double3x3": make_branch(in_channels, Conv(64, 1), Conv(96, 3), Conv(96, 3)),
            "pool": make_branch(in_channels, Conv(96, 1), pool=make_average()),
        }
    )


def make_b(in_channels: int) -> Inception:
    """Build Inception-B (Figure 5): 1024 maps."""
    double = (Conv(192, 1), Conv(192, COLUMN), Conv(224, ROW), Conv(224, COLUMN), Conv(256, ROW))
    return Inception(
        {
            "conv1x1": make_branch(in_channels, Conv(384, 1)),
            "conv7x7": make_branch(in_channels, Conv(192, 1), Conv(224, ROW), Conv(256, COLUMN)),
            "double7x7": make_branch(in_channels, *double),
            "pool": make_branch(in_channels, Conv(128, 1), pool=make_average()),
        }
    )


def make_c(in_channels: int) -> Inception:
    """Build Inception-C (Figure 6): 1536 maps."""
    fork = (Conv(256, (1, 3)), Conv(256, (3, 1)))
    double = (Conv(384, 1), Conv(448, (3, 1)), Conv(512, (1, 3)))
    return Inception(
        {
            "conv1x1": make_branch(in_channels, Conv(256, 1)),
            "conv3x3": make_branch(in_channels, Conv(384, 1), fork=fork),
            "double3x3": make_branch(in_channels, *double, fork=fork),
            "pool": make_branch(in_channels, Conv(256, 1), pool=make_average()),
        }
    )


def make_reduction(in_channels: int, **branches: tuple[Conv, ...]) -> Inception:
    """Build a reduction: branches that end with a stride of 2, and a max pooling beside them."""
    reduction = Inception({n: make_branch(in_channels, *convs) for n, convs in branches.items()})
    reduction["pool"] = nn.MaxPool2d(3, 2)
    return reduction


def make_reduction_a(in_channels: int, widths: tuple[int, int, int, int]) -> Inception:
    """Build the reduction from 35x35 to 17x17 maps (Figure 7); widths: k, l, m, n of Table 1."""
    first, second, third, single = widths
    double = (Conv(first, 1), Conv(second, 3), valid(third, 3, 2))
    return make_reduction(in_channels, conv3x3=(valid(single, 3, 2),), double3x3=double)


def make_reduction_b(in_channels: int) -> Inception:
    """Build the reduction from 17x17 to 8x8 maps (Figure 8)."""
    return make_reduction(
        in_channels,
        conv3x3=(Conv(192, 1), valid(192, 3, 2)),
        conv7x7=(Conv(256, 1), Conv(256, ROW), Conv(320, COLUMN), valid(320, 3, 2)),
    )


def make_stage(name: str, count: int, make: Callable[[], nn.Module]) -> nn.Sequential:
    """Build equal modules one after the other: `inception_a1`, `inception_a2`, ..."""
    return make_chain(**{f"{name}{i}": make() for i in range(1, count + 1)})


def make_stages() -> nn.Sequential:
    """Build the modules of Figure 9: 384 maps of 35x35 -> 1536 maps of 8x8."""
    return make_chain(
        inception_a=make_stage("inception_a", 4, lambda: make_a(384)),  # 384 x 35 x 35
        reduction_a=make_reduction_a(384, TABLE_1),  # 1024 x 17 x 17
        inception_b=make_stage("inception_b", 7, lambda: make_b(1024)),  # 1024 x 17 x 17
        reduction_b=make_reduction_b(1024),  # 1536 x 8 x 8
        inception_c=make_stage("inception_c", 3, lambda: make_c(1536)),  # 1536 x 8 x 8
    )


class InceptionV4(nn.Module):
    """Stem, modules, classifier (Figure 9): (N, in_channels, H, W) -> (N, num_classes)."""

    cam_layer = "stages.inception_c"

    @drawn_once
    def __init__(
        self, spec: InceptionV4Spec, num_classes: int = 1000, in_channels: int = 3
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.least, _ = image_sides(1, [*STEM, GRID, GRID])
        self.stem = make_stem(in_channels)
        self.stages = make_stages()
        self.head = make_head(1536, num_classes, spec.dropout)

    def reset_parameters(self) -> None:
        """Draw fresh weights: N(0, 2 / fan_in), biases 0; the paper doesn't say."""
        draw_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images."""
        check_images(x, self.in_channels, (self.least, self.least), "stages.reduction_b")
        return self.head(self.stages(self.stem(x)))


PAPER = Paper(
    "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
    "Christian Szegedy, Sergey Ioffe, Vincent Vanhoucke, Alex Alemi",
    2016,
    "https://arxiv.org/abs/1602.07261",
)

ARCHITECTURE = Architecture(
    PAPER,
    InceptionV4,
    {"inception_v4": Variant(InceptionV4Spec(), input_shape=(3, 299, 299))},
    deviations=(
        "Where a figure and the released net (TF-slim) differ in the order of a 1x7 and a 7x1 "
        "convolution, as in the stem, the net is the released one.",
    ),
)
