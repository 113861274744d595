"""EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (Tan, Le; 2019).

https://arxiv.org/abs/1905.11946. B0: Table 1. Scaling: section 3.3. What the paper leaves open,
the coefficients of B1 to B7 among it, is taken from the authors' code, tensorflow/tpu,
models/official/efficientnet.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.fields import check_chance
from convatlas.layers import ConvNorm, check_images, draw_layers, drawn_once


class Row(NamedTuple):
    """A line of Table 1: MBConv<expand>, k<kernel>x<kernel>; the first layer has the stride."""

    expand: int
    kernel: int
    stride: int
    channels: int
    layers: int


STEM, TOP = 32, 1280  # channels of stages 1 and 9
TABLE_1: dict[str, Row] = {
    #           MBConv k stride channels layers      resolution of the input
    "stage2": Row(1, 3, 1, 16, 1),  # 112 x 112
    "stage3": Row(6, 3, 2, 24, 2),  # 112 x 112
    "stage4": Row(6, 5, 2, 40, 2),  # 56 x 56
    "stage5": Row(6, 3, 2, 80, 3),  # 28 x 28
    "stage6": Row(6, 5, 1, 112, 3),  # 14 x 14
    "stage7": Row(6, 5, 2, 192, 4),  # 14 x 14
    "stage8": Row(6, 3, 1, 320, 1),  # 7 x 7
}
ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15  # depth, width, resolution: section 4, step 1


@dataclass(frozen=True, slots=True)
class EfficientNetSpec:
    """What tells one EfficientNet from another.

    Attributes:
        width_mult: Multiplies the channels of every stage.
        depth_mult: Multiplies the layers of stages 2 to 8.
        dropout: Fraction of the features that is dropped before the classifier.
        drop_connect: Chance that training drops the last block of the network; the chance of
            the others falls in a straight line to 0 at the first.
    """

    width_mult: float = 1.0
    depth_mult: float = 1.0
    dropout: float = 0.2
    drop_connect: float = 0.2

    def __post_init__(self) -> None:
        """Refuse numbers that no network can be built with."""
        for name in ("width_mult", "depth_mult"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputError(f"{name} is a positive number, such as 1.1; not {value!r}")
        check_chance(self, "dropout", "drop_connect")

    def widened(self, channels: int) -> int:
        """Scale a number of channels: a multiple of 8, not below 0.9 of the exact product."""
        exact = channels * self.width_mult
        rounded = max(8, int(exact + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * exact else rounded

    def deepened(self, layers: int) -> int:
        """Scale a number of layers, rounding up."""
        return math.ceil(layers * self.depth_mult)


class SqueezeExcite(nn.Module):
    """Weigh each map by what all the maps hold on average (Hu et al. 2018): (N, C, H, W) stays."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.act = nn.SiLU()
        self.expand = nn.Conv2d(reduced, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Give x times its weights, each in (0, 1)."""
        return x * self.gate(self.expand(self.act(self.reduce(self.pool(x)))))


class DropConnect(nn.Module):
    """Drop a block's output for some images of a training batch (Huang et al. 2016).

    What is kept is divided by the chance of being kept; in evaluation nothing happens.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same, some images of the N being 0."""
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(1 - self.rate)
        return x * kept / (1 - self.rate)

    def extra_repr(self) -> str:
        """Name the rate."""
        return f"rate={self.rate:g}"


class MBConv(nn.Module):
    """Widen by 1x1, filter each channel, weigh, narrow by 1x1: (N, in, H, W) -> (N, out, ...).

    The inverted bottleneck of MobileNetV2 (Sandler et al. 2018) with squeeze-and-excitation. The
    input is added where its shape is the output's.
    """

    def __init__(
        self, in_channels: int, out_channels: int, row: Row, stride: int, drop_rate: float
    ) -> None:
        super().__init__()
        wide = in_channels * row.expand
        self.expand = ConvNorm(in_channels, wide, 1, act=nn.SiLU) if row.expand > 1 else None
        self.dw = ConvNorm(wide, wide, row.kernel, stride, groups=wide, act=nn.SiLU)
        # a quarter of the block's input, not of the widened maps
        self.se = SqueezeExcite(wide, max(1, in_channels // 4))
        self.project = ConvNorm(wide, out_channels, 1, act=None)
        residual = stride == 1 and in_channels == out_channels
        self.drop = DropConnect(drop_rate) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        """No activation follows the projection or the sum."""
        y = x if self.expand is None else self.expand(x)
        y = self.project(self.se(self.dw(y)))
        return y if self.drop is None else x + self.drop(y)


def make_stages(spec: EfficientNetSpec) -> tuple[nn.Sequential, int]:
    """Build stages 2 to 8; give them and the number of maps that leave."""
    total = sum(spec.deepened(row.layers) for row in TABLE_1.values())
    stages, channels, i = OrderedDict[str, nn.Module](), spec.widened(STEM), 0
    for name, row in TABLE_1.items():
        blocks, out = [], spec.widened(row.channels)
        for layer in range(spec.deepened(row.layers)):
            stride = row.stride if layer == 0 else 1
            blocks.append(MBConv(channels, out, row, stride, spec.drop_connect * i / total))
            channels, i = out, i + 1
        stages[name] = nn.Sequential(*blocks)
    return nn.Sequential(stages), channels


class EfficientNet(nn.Module):
    """Stem, stages of MBConv, classifier: (N, C, H, W) -> (N, num_classes)."""

    @drawn_once
    def __init__(
        self, spec: EfficientNetSpec, num_classes: int = 1000, in_channels: int = 3
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        conv = ConvNorm(in_channels, spec.widened(STEM), 3, 2, act=nn.SiLU)
        self.stem = nn.Sequential(OrderedDict[str, nn.Module](conv=conv))
        self.stages, channels = make_stages(spec)
        top = spec.widened(TOP)
        self.head = nn.Sequential(
            OrderedDict[str, nn.Module](
                conv=ConvNorm(channels, top, 1, act=nn.SiLU),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                drop=nn.Dropout(spec.dropout),
                fc=nn.Linear(top, num_classes),
            )
        )
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                # section 5.2: momentum 0.99, which torch counts from the other end; eps: the code
                module.momentum, module.eps = 0.01, 1e-3
        self.cam_layer = "head.conv"

    def reset_parameters(self) -> None:
        """Draw fresh weights as the authors' code does; the paper doesn't say.

        Convolutions N(0, 2 / fan_out), where a depthwise filter has a fan-out of k k; the
        classifier uniform in +-1 / sqrt(classes); biases 0.
        """
        draw_layers(self, _draw_conv, _draw_linear)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images."""
        check_images(x, self.in_channels, (1, 1), "stem.conv")
        return self.head(self.stages(self.stem(x)))


def _draw_conv(conv: nn.Conv2d) -> None:
    fan_out = math.prod(conv.kernel_size) * conv.out_channels // conv.groups
    nn.init.normal_(conv.weight, 0.0, math.sqrt(2 / fan_out))


def _draw_linear(layer: nn.Linear) -> None:
    bound = 1 / math.sqrt(layer.out_features)
    nn.init.uniform_(layer.weight, -bound, bound)


def compound(phi: float) -> Variant[EfficientNetSpec]:
    """Scale B0 by equation 3: depth alpha^phi, width beta^phi, resolution gamma^phi.

    The multiply-adds grow as (alpha beta^2 gamma^2)^phi = 1.92^phi, and somewhat more where
    layers are rounded up. B1 to B7 follow coefficients that the authors rounded by hand.
    """
    side = round(224 * GAMMA**phi)
    return Variant(EfficientNetSpec(BETA**phi, ALPHA**phi), input_shape=(3, side, side))


def _scaled(
    width_mult: float, depth_mult: float, resolution: int, dropout: float
) -> Variant[EfficientNetSpec]:
    """A line of the authors' table of coefficients (efficientnet_builder.py)."""
    spec = EfficientNetSpec(width_mult, depth_mult, dropout)
    return Variant(spec, input_shape=(3, resolution, resolution))


ARCHITECTURE = Architecture(
    Paper(
        "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
        "Mingxing Tan, Quoc V. Le",
        2019,
        "https://arxiv.org/abs/1905.11946",
    ),
    EfficientNet,
    {
        #                         width depth resolution dropout
        "efficientnet_b0": _scaled(1.0, 1.0, 224, 0.2),
        "efficientnet_b1": _scaled(1.0, 1.1, 240, 0.2),
        "efficientnet_b2": _scaled(1.1, 1.2, 260, 0.3),
        "efficientnet_b3": _scaled(1.2, 1.4, 300, 0.3),
        "efficientnet_b4": _scaled(1.4, 1.8, 380, 0.4),
        "efficientnet_b5": _scaled(1.6, 2.2, 456, 0.4),
        "efficientnet_b6": _scaled(1.8, 2.6, 528, 0.5),
        "efficientnet_b7": _scaled(2.0, 3.1, 600, 0.5),
    },
    deviations=(
        "A convolution of stride 2 is padded by the same on each side; the authors' TensorFlow "
        "pads more at the far edge. The sizes are the same.",
    ),
    layer_names={
        r"stage1": r"stem.conv",
        r"(stage[2-8])": r"stages.\1",
        r"stage9": r"head.conv",
    },
    builds_on={
        "mobilenet_v1": "Depthwise separable convolutions, and scaling of width and resolution; "
        "by way of MobileNetV2 and MnasNet, which are not in the atlas (sections 2 and 4).",
        "wide_resnet": "Width as a way to scale a network (sections 1 and 2).",
    },
)
