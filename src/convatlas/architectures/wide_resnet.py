"""Wide ResNet: Wide Residual Networks (Zagoruyko, Komodakis; 2016).

https://arxiv.org/abs/1605.07146. CIFAR and SVHN nets, WRN-d-k: Table 1, pre-activation units.
ImageNet nets: Tables 7 and 8, the post-activation blocks of ResNet.
"""

import math
import re
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from convatlas.architectures.preact_resnet import ResidualUnit, make_layers
from convatlas.architectures.resnet import BasicBlock, Bottleneck, ResNet, ResNetSpec, Shortcut
from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.fields import check_chance, check_least
from convatlas.layers import Classifier, check_images, draw_layers, drawn_once, he_fan_in_


@dataclass(frozen=True, slots=True)
class WideResNetSpec:
    """What tells one WRN-d-k from another: the columns of Tables 1 and 2.

    Attributes:
        blocks_per_group: N.
        widen_factor: k; the groups have 16 k, 32 k and 64 k maps.
        block: Kernel sizes of a unit's convolutions: (3, 1, 3) is B(3,1,3) (section 2.1).
        dropout: Probability of dropping a value before each convolution of a unit but the first
            (section 2.4); the paper takes 0.3 on CIFAR and 0.4 on SVHN.
    """

    blocks_per_group: int
    widen_factor: int
    block: tuple[int, ...] = (3, 3)
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        check_least(self, 1, "blocks_per_group", "widen_factor")
        if not self.block or any(kernel not in (1, 3) for kernel in self.block):
            raise InputError(f"block takes kernel sizes 1 and 3, such as (3, 3), not {self.block}")
        check_chance(self, "dropout")


@dataclass(frozen=True, slots=True)
class WideImageNetSpec:
    """What tells one wide ImageNet net from another: a row of Table 7 or 8.

    Attributes:
        blocks: Per stage, as in ResNet.
        bottleneck: Widen the inner convolutions of bottlenecks (Table 8), or whole basic blocks
            (Table 7); the stem keeps its 64 maps.
        width: How many times as wide as in ResNet.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool = True
    width: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        if not 1 / 64 <= self.width < math.inf:
            raise InputError(f"width must be at least 1/64, not {self.width!r}")


def make_unit(
    in_channels: int, out_channels: int, stride: int, block: tuple[int, ...], dropout: float
) -> ResidualUnit:
    """Build a wide unit (Figure 1, c and d); all its convolutions have `out_channels` maps.

    Where the width changes, the shortcut is a 1x1 convolution and both branches start from one
    pre-activation; elsewhere the shortcut is x itself (szagoruyko/wide-residual-networks).
    """
    widens = in_channels != out_channels
    layers, channels = OrderedDict[str, nn.Module](), in_channels
    for i, kernel in enumerate(block):
        if i > 0:
            layers[f"norm{i}"] = nn.BatchNorm2d(channels)
            layers[f"act{i}"] = nn.ReLU()
            if dropout > 0:
                layers[f"drop{i}"] = nn.Dropout(dropout)
        layers[f"conv{i + 1}"] = nn.Conv2d(
            channels, out_channels, kernel, stride if i == 0 else 1, kernel // 2, bias=False
        )
        channels = out_channels
    projection = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False) if widens else None
    return ResidualUnit(
        nn.Sequential(layers),
        projection or nn.Identity(),
        before=make_layers(("norm", "act"), in_channels),
        shared=widens,
    )


class WideResNet(nn.Module):
    """conv1, three groups, the last activation, classifier: (N, C, H, W) -> (N, num_classes)."""

    @drawn_once
    def __init__(self, spec: WideResNetSpec, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        self.in_channels, channels = in_channels, 16
        conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.stem = nn.Sequential(OrderedDict[str, nn.Module](conv1=conv1))
        groups = OrderedDict[str, nn.Module]()
        for i in range(3):
            width = 16 * 2**i * spec.widen_factor
            unit = partial(make_unit, block=spec.block, dropout=spec.dropout)
            first = unit(channels, width, 1 if i == 0 else 2)
            rest = [unit(width, width, 1) for _ in range(spec.blocks_per_group - 1)]
            groups[f"conv{i + 2}"] = nn.Sequential(first, *rest)
            channels = width
        self.stages = nn.Sequential(groups)
        self.final = make_layers(("norm", "act"), channels)
        self.head = Classifier(channels, num_classes)
        self.cam_layer = "final"

    def reset_parameters(self) -> None:
        """Draw fresh weights as the authors' code does: He et al. 2015, fan-in."""
        draw_layers(self, he_fan_in_)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images."""
        check_images(x, self.in_channels, (1, 1), "stem.conv1")
        return self.head(self.final(self.stages(self.stem(x))))


def make_bottleneck(
    in_channels: int,
    width: int,
    out_channels: int,
    stride: int,
    shortcut: Shortcut | None,
    *,
    widen_factor: float,
) -> Bottleneck:
    """Build a bottleneck whose inner convolutions are `widen_factor` times as wide (Table 8).

    The stride is on the 3x3, as in facebook/fb.resnet.torch.
    """
    inner = int(width * widen_factor)
    return Bottleneck(in_channels, inner, out_channels, stride, shortcut, stride_on="3x3")


def make_net(
    spec: WideResNetSpec | WideImageNetSpec, num_classes: int = 1000, in_channels: int = 3
) -> WideResNet | ResNet:
    """Build a CIFAR net, or the ResNet that a net of Tables 7 and 8 is."""
    if isinstance(spec, WideResNetSpec):
        return WideResNet(spec, num_classes, in_channels)
    if spec.bottleneck:
        block = partial(make_bottleneck, widen_factor=spec.width)
        return ResNet(ResNetSpec(block, spec.blocks, expansion=4), num_classes, in_channels)
    widths = tuple(int(64 * 2**stage * spec.width) for stage in range(4))
    return ResNet(ResNetSpec(BasicBlock, spec.blocks, widths), num_classes, in_channels)


def _cifar(depth: int, k: int) -> Variant[WideResNetSpec]:
    """WRN-d-k: d counts conv1, two convolutions a unit and three projections, 6N + 4 (Table 1)."""
    spec = WideResNetSpec(blocks_per_group=(depth - 4) // 6, widen_factor=k)
    return Variant(spec, input_shape=(3, 32, 32), num_classes=10, depth="convolutions")


_BASIC = {
    "wide_resnet18": Variant(WideImageNetSpec((2, 2, 2, 2), bottleneck=False)),
    "wide_resnet34": Variant(WideImageNetSpec((3, 4, 6, 3), bottleneck=False)),
}


def parse(name: str) -> Variant | None:
    """Read `wide_resnet<6n+4>_<k>_cifar`, and `wide_resnet18` or 34, which take `width=`."""
    found = re.fullmatch(r"wide_resnet([1-9]\d{0,3})_([1-9]\d{0,2})_cifar", name)
    if found is None:
        return _BASIC.get(name)
    depth = int(found[1])
    return _cifar(depth, int(found[2])) if depth >= 10 and depth % 6 == 4 else None


ARCHITECTURE = Architecture(
    Paper(
        "Wide Residual Networks",
        "Sergey Zagoruyko, Nikos Komodakis",
        2016,
        "https://arxiv.org/abs/1605.07146",
    ),
    make_net,
    {
        "wide_resnet50_2": Variant(WideImageNetSpec((3, 4, 6, 3), width=2.0)),
        "wide_resnet101_2": Variant(
            WideImageNetSpec((3, 4, 23, 3), width=2.0),
            deviation="Not in the paper: torchvision widens ResNet-101 in the same way.",
        ),
        "wide_resnet16_8_cifar": _cifar(16, 8),
        "wide_resnet40_4_cifar": _cifar(40, 4),
        "wide_resnet28_10_cifar": _cifar(28, 10),
    },
    parse=parse,
    forms=("wide_resnet<6n+4>_<k>_cifar", *_BASIC),
    layer_names={r"conv1": r"stem.conv1", r"(conv[234])": r"stages.\1"},
)
