"""Inception-v3: Rethinking the Inception Architecture (Szegedy, Vanhoucke, Ioffe, Shlens, Wojna).

https://arxiv.org/abs/1512.00567 (2015; CVPR 2016). Modules: Figures 5, 6, 7 and 10. The side
classifier: section 4. Where the paper's Table 1 and the net that the authors released differ, the
net is the released one (inception_v3 of TF-slim), and so are the names of its layers.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from convatlas.architectures.googlenet import Inception, Side, make_head
from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.layers import (
    ConvLayer,
    Window,
    check_images,
    drawn_once,
    fill_bias_,
    image_sides,
    make_chain,
    truncated_normal_,
)

EPS = 1e-3  # what batch norm adds to the variance (TF-slim)
SIDE_WEIGHT = 0.4  # TF-slim's training script; the paper prints none
STEM: tuple[Window, ...] = ((3, 2, 0), (3, 1, 0), (3, 1, 1), (3, 2, 0), (3, 1, 0), (3, 2, 0))
GRID: Window = (3, 2, 0)  # of 6a and 7a


class Conv(NamedTuple):
    """A convolution of a branch, with batch norm and ReLU."""

    maps: int
    kernel: int | tuple[int, int]
    stride: int = 1
    valid: bool = False  # not padded; otherwise the size stays


def valid(maps: int, kernel: int, stride: int = 1) -> Conv:
    """Give a convolution without padding: those marked V in later figures of the authors."""
    return Conv(maps, kernel, stride, valid=True)


def make_layer(in_channels: int, conv: Conv) -> ConvLayer:
    """Build a convolution with batch norm and ReLU."""
    padding = 0 if conv.valid else None
    return ConvLayer(in_channels, conv.maps, conv.kernel, conv.stride, padding, eps=EPS)


def make_branch(
    in_channels: int, *convs: Conv, pool: nn.Module | None = None, fork: tuple[Conv, ...] = ()
) -> nn.Sequential:
    """Build a branch: a pooling if there is one, convolutions, side by side those of `fork`."""
    branch = OrderedDict[str, nn.Module]()
    if pool is not None:
        branch["pool"] = pool
    for i, conv in enumerate(convs, start=1):
        branch[f"conv{i}"] = make_layer(in_channels, conv)
        in_channels = conv.maps
    if fork:
        ends = {f"conv{i}": make_layer(in_channels, conv) for i, conv in enumerate(fork, start=1)}
        branch["fork"] = Inception(ends)
    return nn.Sequential(branch)


@dataclass(frozen=True, slots=True)
class InceptionV3Spec:
    """What tells one network of this paper from another.

    Attributes:
        sides: Build the side classifier of section 4; only `forward_with_sides` runs it.
        count_padding: The zeros around a map count in its averages, as in torchvision, whose
            weights need it; those of TF-slim and Keras need False.
        dropout: Before the classifier; torchvision's, and 0.2 in TF-slim.
    """

    sides: bool = False
    count_padding: bool = True
    dropout: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be at least 0 and less than 1, not {self.dropout!r}")

    def average(self) -> nn.AvgPool2d:
        """Build the pooling of the last branch of a module."""
        return nn.AvgPool2d(3, 1, 1, count_include_pad=self.count_padding)


def make_a(in_channels: int, pool_maps: int, average: nn.Module) -> Inception:
    """Build a module of 35x35 maps: a 5x5 is two 3x3 (Figure 5); one 5x5 is left as released."""
    return Inception(
        {
            "conv1x1": make_branch(in_channels, Conv(64, 1)),
            "conv5x5": make_branch(in_channels, Conv(48, 1), Conv(64, 5)),
            "double3x3": make_branch(in_channels, Conv(64, 1), Conv(96, 3), Conv(96, 3)),
            "pool": make_branch(in_channels, Conv(pool_maps, 1), pool=average),
        }
    )


def make_b(in_channels: int) -> Inception:
    """Build the reduction from 35x35 to 17x17 maps (Figure 10)."""
    return Inception(
        {
            "conv3x3": make_branch(in_channels, valid(384, 3, 2)),
            "double3x3": make_branch(in_channels, Conv(64, 1), Conv(96, 3), valid(96, 3, 2)),
            "pool": nn.MaxPool2d(3, 2),
        }
    )


def make_c(in_channels: int, width: int, average: nn.Module) -> Inception:
    """Build a module of 17x17 maps: a 7x7 is a 1x7 and a 7x1 (Figure 6, n = 7)."""
    row, column = (1, 7), (7, 1)
    single = [Conv(width, kernel) for kernel in (1, row)]
    double = [Conv(width, kernel) for kernel in (1, column, row, column)]
    return Inception(
        {
            "conv1x1": make_branch(in_channels, Conv(192, 1)),
            "conv7x7": make_branch(in_channels, *single, Conv(192, column)),
            "double7x7": make_branch(in_channels, *double, Conv(192, row)),
            "pool": make_branch(in_channels, Conv(192, 1), pool=average),
        }
    )


def make_d(in_channels: int) -> Inception:
    """Build the reduction from 17x17 to 8x8 maps."""
    seven = (Conv(192, 1), Conv(192, (1, 7)), Conv(192, (7, 1)))
    return Inception(
        {
            "conv3x3": make_branch(in_channels, Conv(192, 1), valid(320, 3, 2)),
            "conv7x7": make_branch(in_channels, *seven, valid(192, 3, 2)),
            "pool": nn.MaxPool2d(3, 2),
        }
    )


def make_e(in_channels: int, average: nn.Module) -> Inception:
    """Build a module of 8x8 maps: its filter bank outputs are widened (Figure 7)."""
    fork = (Conv(384, (1, 3)), Conv(384, (3, 1)))
    return Inception(
        {
            "conv1x1": make_branch(in_channels, Conv(320, 1)),
            "conv3x3": make_branch(in_channels, Conv(384, 1), fork=fork),
            "double3x3": make_branch(in_channels, Conv(448, 1), Conv(384, 3), fork=fork),
            "pool": make_branch(in_channels, Conv(192, 1), pool=average),
        }
    )


def make_stem(in_channels: int) -> nn.Sequential:
    """Build what comes before the modules: 299x299 pixels -> 192 maps of 35x35."""
    return make_chain(
        Conv2d_1a_3x3=make_layer(in_channels, valid(32, 3, 2)),  # 149 x 149
        Conv2d_2a_3x3=make_layer(32, valid(32, 3)),  # 147 x 147
        Conv2d_2b_3x3=make_layer(32, Conv(64, 3)),  # 147 x 147
        MaxPool_3a_3x3=nn.MaxPool2d(3, 2),  # 73 x 73
        Conv2d_3b_1x1=make_layer(64, Conv(80, 1)),  # 73 x 73
        Conv2d_4a_3x3=make_layer(80, valid(192, 3)),  # 71 x 71
        MaxPool_5a_3x3=nn.MaxPool2d(3, 2),  # 35 x 35
    )


def make_stages(spec: InceptionV3Spec) -> nn.Sequential:
    """Build the modules: 192 maps of 35x35 -> 2048 maps of 8x8."""
    return make_chain(
        Mixed_5b=make_a(192, 32, spec.average()),  # 256 x 35 x 35
        Mixed_5c=make_a(256, 64, spec.average()),  # 288 x 35 x 35
        Mixed_5d=make_a(288, 64, spec.average()),  # 288 x 35 x 35
        Mixed_6a=make_b(288),  # 768 x 17 x 17
        Mixed_6b=make_c(768, 128, spec.average()),  # 768 x 17 x 17
        Mixed_6c=make_c(768, 160, spec.average()),
        Mixed_6d=make_c(768, 160, spec.average()),
        Mixed_6e=make_c(768, 192, spec.average()),
        Mixed_7a=make_d(768),  # 1280 x 8 x 8
        Mixed_7b=make_e(1280, spec.average()),  # 2048 x 8 x 8
        Mixed_7c=make_e(2048, spec.average()),
    )


def make_side(in_channels: int, num_classes: int) -> nn.Sequential:
    """Build the side classifier: (N, in_channels, 17, 17) -> (N, num_classes)."""
    return make_chain(
        pool=nn.AvgPool2d(5, 3),  # 5 x 5
        conv1=make_layer(in_channels, Conv(128, 1)),
        conv2=make_layer(128, valid(768, 5)),  # 1 x 1
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(768, num_classes),
    )


class InceptionV3(nn.Module):
    """Stem, eleven modules, classifier: (N, in_channels, H, W) -> (N, num_classes)."""

    cam_layer = "stages.Mixed_7c"

    @drawn_once
    def __init__(
        self, spec: InceptionV3Spec, num_classes: int = 1000, in_channels: int = 3
    ) -> None:
        super().__init__()
        self.spec, self.in_channels = spec, in_channels
        self.least, _ = image_sides(1, [*STEM, GRID, GRID])
        self.stem = make_stem(in_channels)
        self.stages = make_stages(spec)
        self.head = make_head(2048, num_classes, spec.dropout)
        self.sides = nn.ModuleDict({"aux": make_side(768, num_classes)} if spec.sides else {})

    def reset_parameters(self) -> None:
        """Draw fresh weights as the authors' code does; the paper doesn't say.

        N(0, 0.1^2), drawn again beyond two standard deviations; 0.01 in the 5x5 convolution of
        the side classifier and 0.001 in its last layer; biases 0.
        """
        special = {"sides.aux.conv2.conv": 0.01, "sides.aux.fc": 0.001}
        for name, module in self.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
            elif isinstance(module, nn.Conv2d | nn.Linear):
                truncated_normal_(module, special.get(name, 0.1))
                fill_bias_(module)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images."""
        check_images(x, self.in_channels, (self.least, self.least), "stages.Mixed_7a")
        return self.head(self.stages(self.stem(x)))

    def forward_with_sides(self, x: Tensor) -> tuple[Tensor, tuple[Side, ...]]:
        """Give the logits, and those of the side classifier with its weight in the loss.

        Raises:
            InputError: The network was built without the side classifier, or the images are too
                small for it.
        """
        if not self.spec.sides:
            raise InputError("this network has no side classifiers: build it with sides=True")
        least, _ = image_sides(17, [*STEM, GRID])
        check_images(x, self.in_channels, (least, least), "sides.aux.conv2")
        x, sides = self.stem(x), ()
        for name, stage in self.stages.named_children():
            x = stage(x)
            if name == "Mixed_6e":
                sides = (Side(self.sides["aux"](x), SIDE_WEIGHT),)
        return self.head(x), sides


ARCHITECTURE = Architecture(
    Paper(
        "Rethinking the Inception Architecture for Computer Vision",
        "Christian Szegedy, Vincent Vanhoucke, Sergey Ioffe, Jonathon Shlens, Zbigniew Wojna",
        2015,
        "https://arxiv.org/abs/1512.00567",
    ),
    InceptionV3,
    {"inception_v3": Variant(InceptionV3Spec(), input_shape=(3, 299, 299))},
    deviations=(
        "The net is the released one: after the first pooling of the stem a 1x1 convolution to 80 "
        "maps, a 3x3 to 192 and a pooling, where Table 1 lists three 3x3 convolutions; a 5x5 "
        "convolution in the modules of 35x35 maps, where Figure 5 has two 3x3.",
        "The zeros around a map count in its averages, as in torchvision; TF-slim leaves them "
        "out: count_padding=False.",
    ),
    layer_names={r"Conv2d_3b": r"stem.Conv2d_3b_1x1"},
    builds_on={
        "bn_inception": "Two 3x3 convolutions for a 5x5 (section 3.1), and batch norm; Table 3 "
        "starts from it.",
    },
)
