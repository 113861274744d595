"""ResNet: Deep Residual Learning for Image Recognition (He, Zhang, Ren, Sun; 2015).

https://arxiv.org/abs/1512.03385. ImageNet nets: Table 1. CIFAR-10 nets: section 4.2. The plain
nets that they are compared with: the same table without shortcuts (Figure 3, middle).
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from torch import Tensor, nn

from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.fields import check_least
from convatlas.layers import Classifier, ConvNorm, check_images, draw_layers, drawn_once, he_normal_

Shortcut = Literal["A", "B", "C"]  # section 4.1; None: a plain net


@dataclass(frozen=True, slots=True)
class ResNetSpec:
    """What tells one residual network from another: the columns of Table 1."""

    block: Callable[..., nn.Module]  # (in, width, out, stride, shortcut) -> block
    blocks: tuple[int, ...]  # per stage: conv2_x, conv3_x, ...
    widths: tuple[int, ...] = (64, 128, 256, 512)  # channels inside a block, per stage
    expansion: int = 1  # channels leaving a block / channels inside it
    stem: Literal["imagenet", "cifar"] = "imagenet"
    shortcut: Shortcut | None = "B"

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        check_stages(self.blocks, self.widths)
        check_least(self, 1, "expansion")


def check_stages(blocks: Sequence[int], widths: Sequence[int]) -> None:
    """Refuse stages of nothing.

    Raises:
        InputError: There is none, or one has no blocks, no channels or no partner.
    """
    if len(blocks) != len(widths) or min((*blocks, *widths), default=0) < 1:
        raise InputError(
            f"blocks and widths have one number of at least 1 for each stage; "
            f"got {blocks} and {widths}"
        )


class ZeroPadShortcut(nn.Module):
    """Option A: every `stride`-th pixel, then zero channels; no parameters (section 3.3)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        if out_channels < in_channels:
            raise InputError(f"option A can't lead {in_channels} channels into {out_channels}")
        self.stride, self.padding = stride, out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride)."""
        x = x[:, :, :: self.stride, :: self.stride]
        return nn.functional.pad(x, (0, 0, 0, 0, 0, self.padding))

    def extra_repr(self) -> str:
        """Name the stride and the zero channels."""
        return f"stride={self.stride}, zero_channels={self.padding}"


def make_shortcut(
    in_channels: int, out_channels: int, stride: int, shortcut: Shortcut | None
) -> nn.Module | None:
    """Build the shortcut of a block by the options of section 4.1; None: a plain net has none."""
    if shortcut is None:
        return None
    if shortcut != "C" and stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if shortcut == "A":
        return ZeroPadShortcut(in_channels, out_channels, stride)
    return ConvNorm(in_channels, out_channels, 1, stride, act=None)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (Figure 5, left): (N, in, H, W) -> (N, out, ...)."""

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int,
        stride: int,
        shortcut: Shortcut | None = "B",
    ) -> None:
        super().__init__()
        self.conv1 = ConvNorm(in_channels, width, 3, stride)
        self.conv2 = ConvNorm(width, out_channels, 3, act=None)
        self.shortcut = make_shortcut(in_channels, out_channels, stride, shortcut)
        self.act = nn.ReLU()  # a module of its own, never in place: it can be hooked by name

    def forward(self, x: Tensor) -> Tensor:
        """Equation 1, and the second nonlinearity after the addition (Figure 2)."""
        return self.act(add_shortcut(self.branch(x), x, self.shortcut))

    def branch(self, x: Tensor) -> Tensor:
        """Give F(x) of equation 1, which is added to the shortcut."""
        return self.conv2(self.conv1(x))


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3, 1x1 restore, around a shortcut (Figure 5, right).

    The paper's stride is on the first 1x1, as in the authors' Caffe model; `stride_on="3x3"` is
    the later form of facebook/fb.resnet.torch, known as v1.5.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int,
        stride: int,
        shortcut: Shortcut | None = "B",
        *,
        groups: int = 1,
        stride_on: Literal["1x1", "3x3"] = "1x1",
    ) -> None:
        super().__init__()
        self.reduce = ConvNorm(in_channels, width, 1, stride if stride_on == "1x1" else 1)
        self.conv = ConvNorm(width, width, 3, stride if stride_on == "3x3" else 1, groups=groups)
        self.restore = ConvNorm(width, out_channels, 1, act=None)
        self.shortcut = make_shortcut(in_channels, out_channels, stride, shortcut)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Equation 1, and the last nonlinearity after the addition (Figure 2)."""
        return self.act(add_shortcut(self.branch(x), x, self.shortcut))

    def branch(self, x: Tensor) -> Tensor:
        """Give F(x) of equation 1, which is added to the shortcut."""
        return self.restore(self.conv(self.reduce(x)))


def add_shortcut(y: Tensor, x: Tensor, shortcut: nn.Module | None) -> Tensor:
    """Give y + shortcut(x), or y alone in a plain net."""
    return y if shortcut is None else y + shortcut(x)


def make_stages(spec: ResNetSpec, channels: int, names: list[str]) -> tuple[nn.Sequential, int]:
    """Build the stages; each after the first halves H and W in its first block.

    Returns the stages and the number of channels that leave the last one.
    """
    stages = OrderedDict[str, nn.Module]()
    for i, (name, blocks, width) in enumerate(zip(names, spec.blocks, spec.widths, strict=True)):
        out = width * spec.expansion
        first = spec.block(channels, width, out, 1 if i == 0 else 2, spec.shortcut)
        rest = [spec.block(out, width, out, 1, spec.shortcut) for _ in range(blocks - 1)]
        stages[name] = nn.Sequential(first, *rest)
        channels = out
    return nn.Sequential(stages), channels


class ResNet(nn.Module):
    """Stem, stages of blocks, classifier: (N, in_channels, H, W) -> (N, num_classes)."""

    @drawn_once
    def __init__(self, spec: ResNetSpec, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.in_channels = in_channels
        if spec.stem == "imagenet":
            conv1, pool = ConvNorm(in_channels, 64, 7, 2), nn.MaxPool2d(3, 2, 1)
            self.stem = nn.Sequential(OrderedDict[str, nn.Module](conv1=conv1, pool=pool))
            names = [f"conv{i + 2}_x" for i in range(len(spec.blocks))]
            self.stages, channels = make_stages(spec, 64, names)
        else:
            # a 7x7 stem would shrink a 32x32 image away (section 4.2)
            conv1 = ConvNorm(in_channels, spec.widths[0], 3)
            self.stem = nn.Sequential(OrderedDict[str, nn.Module](conv1=conv1))
            names = [f"stage{i + 1}" for i in range(len(spec.blocks))]
            self.stages, channels = make_stages(spec, spec.widths[0], names)
        self.head = Classifier(channels, num_classes)
        self.cam_layer = f"stages.{names[-1]}"

    def reset_parameters(self) -> None:
        """Draw fresh weights as section 3.4 says: the initialization of He et al. 2015."""
        draw_layers(self, he_normal_)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images."""
        check_images(x, self.in_channels, (1, 1), "stem.conv1")
        return self.head(self.stages(self.stem(x)))


def _imagenet(
    block: Callable[..., nn.Module],
    blocks: tuple[int, ...],
    expansion: int = 1,
    deviation: str = "",
) -> Variant[ResNetSpec]:
    """A column of Table 1."""
    return Variant(ResNetSpec(block, blocks, expansion=expansion), deviation=deviation)


def _cifar(n: int, shortcut: Shortcut | None = "A") -> Variant[ResNetSpec]:
    """Three stages of n blocks, 6n + 2 layers in all; section 4.2 uses option A throughout."""
    spec = ResNetSpec(BasicBlock, (n, n, n), (16, 32, 64), stem="cifar", shortcut=shortcut)
    return Variant(spec, input_shape=(3, 32, 32), num_classes=10)


def _plain(variant: Variant[ResNetSpec]) -> Variant[ResNetSpec]:
    return replace(variant, spec=replace(variant.spec, shortcut=None))


def _v1_5(blocks: tuple[int, ...]) -> Variant[ResNetSpec]:
    block = partial(Bottleneck, stride_on="3x3")
    deviation = "v1.5: the stride is on the 3x3 convolution, not on the first 1x1."
    return _imagenet(block, blocks, expansion=4, deviation=deviation)


def parse(name: str) -> Variant[ResNetSpec] | None:
    """Read `resnet<6n+2>_cifar` and `plain<6n+2>_cifar` for any n of at least 1."""
    found = re.fullmatch(r"(resnet|plain)([1-9]\d{0,3})_cifar", name)
    if found is None:
        return None
    n, rest = divmod(int(found[2]) - 2, 6)
    if n < 1 or rest:
        return None
    return _cifar(n, "A" if found[1] == "resnet" else None)


_OPTION_B = (
    "Projections where the size changes (option B), as in every library; Table 2 prints option "
    "A: shortcut='A'."
)

ARCHITECTURE = Architecture(
    Paper(
        "Deep Residual Learning for Image Recognition",
        "Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun",
        2015,
        "https://arxiv.org/abs/1512.03385",
    ),
    ResNet,
    {
        "resnet18": _imagenet(BasicBlock, (2, 2, 2, 2), deviation=_OPTION_B),
        "resnet34": _imagenet(BasicBlock, (3, 4, 6, 3), deviation=_OPTION_B),
        "resnet50": _imagenet(Bottleneck, (3, 4, 6, 3), expansion=4),
        "resnet101": _imagenet(Bottleneck, (3, 4, 23, 3), expansion=4),
        "resnet152": _imagenet(Bottleneck, (3, 8, 36, 3), expansion=4),
        "resnet50_v1_5": _v1_5((3, 4, 6, 3)),
        "resnet101_v1_5": _v1_5((3, 4, 23, 3)),
        "resnet152_v1_5": _v1_5((3, 8, 36, 3)),
        "plain18": _plain(_imagenet(BasicBlock, (2, 2, 2, 2))),
        "plain34": _plain(_imagenet(BasicBlock, (3, 4, 6, 3))),
        "resnet20_cifar": _cifar(3),
        "resnet32_cifar": _cifar(5),
        "resnet44_cifar": _cifar(7),
        "resnet56_cifar": _cifar(9),
        "resnet110_cifar": _cifar(18),
        "resnet1202_cifar": _cifar(200),
        "plain20_cifar": _cifar(3, None),
        "plain32_cifar": _cifar(5, None),
        "plain44_cifar": _cifar(7, None),
        "plain56_cifar": _cifar(9, None),
    },
    deviations=(
        "conv1 has no bias; of the authors' Caffe models ResNet-50 has one, 101 and 152 have not.",
        "ImageNet nets: the max pooling of the stem is padded by 1; Caffe pads at the far edge "
        "only. Both give 56x56 maps.",
    ),
    parse=parse,
    forms=("resnet<6n+2>_cifar", "plain<6n+2>_cifar"),
    layer_names={r"conv1": r"stem.conv1"},
    builds_on={
        "vgg": "3x3 filters, and maps that double where their size is halved: the plain nets "
        "(section 3.3).",
        "bn_inception": "Batch norm after each convolution (section 3.4).",
    },
)
