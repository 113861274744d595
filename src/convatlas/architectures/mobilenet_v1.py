"""MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications.

Howard et al. 2017, https://arxiv.org/abs/1704.04861. The net: Table 1. Width and resolution:
sections 3.3 and 3.4. The nets it is compared with: Tables 4 and 5. What the paper leaves open is
taken from the authors' code, tensorflow/models, research/slim/nets/mobilenet_v1.py.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.layers import (
    Classifier,
    ConvNorm,
    check_images,
    draw_layers,
    drawn_once,
    truncated_normal_,
)


class Row(NamedTuple):
    """Two lines of Table 1: a depthwise 3x3 convolution of this stride, a 1x1 to `channels`."""

    stride: int
    channels: int


TABLE_1: tuple[Row, ...] = (
    #   input of the depthwise convolution
    Row(1, 64),  # 112 x 112 x 32
    Row(2, 128),  # 112 x 112 x 64
    Row(1, 128),  # 56 x 56 x 128
    Row(2, 256),  # 56 x 56 x 128
    Row(1, 256),  # 28 x 28 x 256
    Row(2, 512),  # 28 x 28 x 256
    *5 * (Row(1, 512),),  # 14 x 14 x 512
    Row(2, 1024),  # 14 x 14 x 512
    Row(1, 1024),  # 7 x 7 x 1024, and so is its output: the "s2" of the table is a misprint
)
_SHALLOW = TABLE_1[:6] + TABLE_1[11:]  # Table 5: without the five layers of 14 x 14 x 512


class DepthwiseSeparable(nn.Module):
    """A 3x3 filter a channel, then 1x1 across channels (Figure 3): (N, in, H, W) -> (N, out, ...).

    Its multiply-adds are 1 / out + 1 / 9 of those of `make_full_convolution` (section 3.1).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.dw = ConvNorm(in_channels, in_channels, 3, stride, groups=in_channels)
        self.pw = ConvNorm(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Filter, then combine; batch norm and ReLU follow both."""
        return self.pw(self.dw(x))


def make_full_convolution(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Build what a depthwise separable convolution replaces: one 3x3 convolution (Table 4)."""
    return ConvNorm(in_channels, out_channels, 3, stride)


@dataclass(frozen=True, slots=True)
class MobileNetV1Spec:
    """What tells one MobileNet from another.

    Attributes:
        width_mult: alpha of section 3.3; each layer has max(8, floor(alpha channels)) channels,
            as in the authors' code.
        rows: The body of Table 1, after the first convolution.
        block: What a row builds: (in, out, stride) -> block.
    """

    width_mult: float = 1.0
    rows: tuple[Row, ...] = TABLE_1
    block: Callable[[int, int, int], nn.Module] = DepthwiseSeparable

    def __post_init__(self) -> None:
        """Refuse a width that no network has."""
        width = self.width_mult
        if not 0 < width < float("inf"):
            raise InputError(f"width_mult is a positive number, such as 0.75; not {width!r}")

    def widened(self, channels: int) -> int:
        """Give the number of channels of a layer that has `channels` at alpha = 1."""
        return max(8, int(channels * self.width_mult))


class MobileNetV1(nn.Module):
    """First convolution, blocks, classifier: (N, C, H, W) -> (N, num_classes).

    The resolution multiplier rho of section 3.4 is the size of the input: any size fits.
    """

    @drawn_once
    def __init__(
        self, spec: MobileNetV1Spec, num_classes: int = 1000, in_channels: int = 3
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        channels = spec.widened(32)
        self.stem = nn.Sequential(
            OrderedDict[str, nn.Module](conv1=ConvNorm(in_channels, channels, 3, 2))
        )
        stages = OrderedDict[str, nn.Module]()
        for i, row in enumerate(spec.rows, start=1):
            out = spec.widened(row.channels)
            stages[f"block{i}"] = spec.block(channels, out, row.stride)
            channels = out
        self.stages = nn.Sequential(stages)
        self.head = Classifier(channels, num_classes)
        self.cam_layer = f"stages.block{len(stages)}"

    def reset_parameters(self) -> None:
        """Draw fresh weights as the authors' code does; the paper doesn't say.

        N(0, 0.09^2), drawn again beyond two standard deviations; biases 0.
        """
        draw_layers(self, _draw, _draw)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images."""
        check_images(x, self.in_channels, (1, 1), "stem.conv1")
        return self.head(self.stages(self.stem(x)))


def _draw(layer: nn.Conv2d | nn.Linear) -> None:
    truncated_normal_(layer, 0.09)


ARCHITECTURE = Architecture(
    Paper(
        "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
        "Andrew G. Howard, Menglong Zhu, Bo Chen, Dmitry Kalenichenko, Weijun Wang, "
        "Tobias Weyand, Marco Andreetto, Hartwig Adam",
        2017,
        "https://arxiv.org/abs/1704.04861",
    ),
    MobileNetV1,
    {
        "mobilenet_v1": Variant(MobileNetV1Spec()),
        "mobilenet_v1_075": Variant(MobileNetV1Spec(0.75)),
        "mobilenet_v1_050": Variant(MobileNetV1Spec(0.5)),
        "mobilenet_v1_025": Variant(MobileNetV1Spec(0.25)),
        "mobilenet_v1_full_convolutions": Variant(MobileNetV1Spec(block=make_full_convolution)),
        "mobilenet_v1_shallow": Variant(MobileNetV1Spec(rows=_SHALLOW)),
    },
    deviations=(
        "A convolution of stride 2 is padded by 1 on each side; the authors' TensorFlow pads an "
        "even size at the far edge only. The sizes are the same.",
        "The activation is the ReLU of Figure 3; the authors' code has ReLU6, and drops 0.1 % of "
        "the features before the classifier.",
        "Batch norm adds 1e-5 to the variance; the authors' code 1e-3, and the paper is silent.",
    ),
    layer_names={
        r"conv1": r"stem.conv1",
        r"(dw|pw)(\d+)": r"stages.block\2.\1",
        r"(block\d+)": r"stages.\1",
        r"(fc)": r"head.\1",
    },
    builds_on={
        "bn_inception": "The depthwise separable convolution of its first layer, used throughout, "
        "and batch norm (section 2).",
    },
)
