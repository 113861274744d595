"""Pre-activation ResNet: Identity Mappings in Deep Residual Networks (He, Zhang, Ren, Sun; 2016).

https://arxiv.org/abs/1603.05027. The unit and the orders it was compared with: Figure 4. Other
shortcuts: Figure 2. The CIFAR and ImageNet nets: appendix; they keep the tables of ResNet.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor, nn

from convatlas.architectures.resnet import Shortcut, check_stages, make_shortcut
from convatlas.card import Architecture, Paper, Variant
from convatlas.fields import check_choice
from convatlas.layers import (
    Classifier,
    ConvNorm,
    ResidualUnit,
    check_images,
    draw_layers,
    drawn_once,
    fill_bias_,
    he_normal_,
    make_chain,
)

Kinds = tuple[Literal["norm", "act"], ...]
PARTS: dict[str, Callable[[int], nn.Module]] = {
    "norm": nn.BatchNorm2d,
    "act": lambda _channels: nn.ReLU(),
}


class Order(NamedTuple):
    """Where a unit has batch norm and ReLU; between two convolutions it always has both."""

    before: Kinds  # before the first convolution
    last: Kinds  # after the last convolution
    after: Kinds  # after the addition


FIGURE_4 = {
    "original": Order((), ("norm",), ("act",)),  # (a)
    "bn_after_add": Order((), (), ("norm", "act")),  # (b)
    "relu_before_add": Order((), ("norm", "act"), ()),  # (c)
    "relu_only_preact": Order(("act",), ("norm",), ()),  # (d)
    "full_preact": Order(("norm", "act"), (), ()),  # (e)
}

FIGURE_2 = (  # its (e) is shortcut="C"; no shortcut at all is shortcut=None
    "identity",  # (a)
    "scaling_0.5_1",  # (b): 0.5 h(x) + F(x)
    "scaling_0.5_0.5",  # (b): 0.5 h(x) + 0.5 F(x)
    "exclusive_gating",  # (c)
    "shortcut_only_gating",  # (d)
    "dropout",  # (f)
)


@dataclass(frozen=True, slots=True)
class PreActResNetSpec:
    """What tells one pre-activation network from another."""

    blocks: tuple[int, ...]  # units per stage
    kernels: tuple[int, ...] = (1, 3, 1)  # of a unit's convolutions; (3, 3): no bottleneck
    widths: tuple[int, ...] = (64, 128, 256, 512)  # channels inside a unit, per stage
    expansion: int = 4  # channels leaving a unit / channels inside it
    stem: Literal["imagenet", "cifar"] = "imagenet"  # 7x7 and pooling, or one 3x3
    shortcut: Shortcut | None = "B"  # where the size changes, as in ResNet; None: a plain net
    stride_on: Literal["1x1", "3x3"] = "3x3"  # the convolution that halves the size
    activation: str = "full_preact"  # a key of FIGURE_4
    shortcut_mode: str = "identity"  # what happens to the shortcut: one of FIGURE_2
    gate_bias: float = -6.0  # what the biases of the gates start from (section 3.1, Table 1)

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        check_choice(self, dict.fromkeys(f"{k}x{k}" for k in self.kernels), "stride_on")
        check_choice(self, FIGURE_4, "activation")
        check_choice(self, FIGURE_2, "shortcut_mode")
        check_stages(self.blocks, self.widths)

    @property
    def order(self) -> Order:
        """Where a unit of this network has batch norm and ReLU."""
        return FIGURE_4[self.activation]


def make_layers(kinds: Kinds, channels: int) -> nn.Module:
    """Build batch norm and ReLU in the order of `kinds`; none of them: the identity."""
    if not kinds:
        return nn.Identity()
    return make_chain(**{kind: PARTS[kind](channels) for kind in kinds})


def make_branch(
    channels: Sequence[int], kernels: Sequence[int], strides: Sequence[int], last: Kinds = ()
) -> nn.Sequential:
    """Build F of a unit: convolutions without bias, each but the last with batch norm and ReLU.

    `channels` has one number more than `kernels` and `strides`: what enters comes first.
    """
    layers: dict[str, nn.Module] = {}
    rows = zip(kernels, strides, itertools.pairwise(channels), strict=True)
    for i, (kernel, stride, widths) in enumerate(rows, start=1):
        layers[f"conv{i}"] = nn.Conv2d(*widths, kernel, stride, kernel // 2, bias=False)
        for kind in ("norm", "act") if i < len(kernels) else last:
            layers[f"{kind}{i}"] = PARTS[kind](widths[1])
    return make_chain(**layers)


class ConstantScaling(nn.Module):
    """Figure 2(b): a h(x) + b F(x), both (N, C, H, W)."""

    def __init__(self, shortcut: float, branch: float) -> None:
        super().__init__()
        self.shortcut, self.branch = shortcut, branch

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Scale the shortcut `x` and the branch `y`, and add them."""
        return self.shortcut * x + self.branch * y


class Gating(nn.Module):
    """(1 - g) h(x) + g F(x), Figure 2(c), or (1 - g) h(x) + F(x), Figure 2(d).

    The gates g = sigmoid(W h(x) + b) are a 1x1 convolution: one a channel and position.
    """

    def __init__(self, channels: int, bias: float, *, exclusive: bool) -> None:
        super().__init__()
        self.bias, self.exclusive = bias, exclusive
        self.conv = nn.Conv2d(channels, channels, 1)
        self.act = nn.Sigmoid()

    def reset_parameters(self) -> None:
        """Start from the given bias: -6 lets the shortcut pass almost whole (section 3.1)."""
        fill_bias_(self.conv, self.bias)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Gate the shortcut `x` and the branch `y`, and add them."""
        gate = self.act(self.conv(x))
        return (1 - gate) * x + (gate * y if self.exclusive else y)


def make_merge(mode: str, channels: int, gate_bias: float) -> nn.Module | None:
    """Build what joins shortcut and branch (Figure 2, b to d); None: a plain addition."""
    if mode.startswith("scaling"):
        return ConstantScaling(0.5, 1.0 if mode == "scaling_0.5_1" else 0.5)
    if mode.endswith("gating"):
        return Gating(channels, gate_bias, exclusive=mode == "exclusive_gating")
    return None


def make_unit(
    spec: PreActResNetSpec, in_channels: int, width: int, stride: int, *, first: bool = False
) -> ResidualUnit:
    """Build a unit of Figure 4; `first` is the one that follows the stem.

    A unit that changes the size, and the first, pre-activate once for branch and shortcut, as in
    KaimingHe/resnet-1k-layers and at the end of section 4.1.
    """
    order, out_channels = spec.order, width * spec.expansion
    channels = (in_channels, *[width] * (len(spec.kernels) - 1), out_channels)
    strides = [1] * len(spec.kernels)
    strides[spec.kernels.index(int(spec.stride_on[0]))] = stride
    # the ImageNet stem ends with batch norm, ReLU and pooling: there is nothing left to activate
    before = () if first and spec.stem == "imagenet" else order.before
    return ResidualUnit(
        make_branch(channels, spec.kernels, strides, order.last),
        _make_shortcut(spec, in_channels, out_channels, stride),
        before=make_layers(before, in_channels),
        after=make_layers(order.after, out_channels),
        merge=make_merge(spec.shortcut_mode, out_channels, spec.gate_bias),
        shared=first or stride != 1 or in_channels != out_channels,
    )


def _make_shortcut(
    spec: PreActResNetSpec, in_channels: int, out_channels: int, stride: int
) -> nn.Module | None:
    shortcut = make_shortcut(in_channels, out_channels, stride, spec.shortcut)
    if isinstance(shortcut, ConvNorm) and "norm" not in spec.order.last:
        # a projection has batch norm where the end of the branch has
        shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    if spec.shortcut_mode == "dropout" and shortcut is not None:
        return nn.Sequential(shortcut, nn.Dropout(0.5))  # Figure 2(f)
    return shortcut


def make_stages(spec: PreActResNetSpec, channels: int) -> tuple[nn.Sequential, int]:
    """Build the stages; each after the first halves H and W in its first unit.

    Returns the stages and the number of channels that leave the last one.
    """
    stages: dict[str, nn.Module] = {}
    for i, (blocks, width) in enumerate(zip(spec.blocks, spec.widths, strict=True)):
        units = [make_unit(spec, channels, width, 1 if i == 0 else 2, first=i == 0)]
        channels = width * spec.expansion
        units += [make_unit(spec, channels, width, 1) for _ in range(blocks - 1)]
        name = f"conv{i + 2}_x" if spec.stem == "imagenet" else f"stage{i + 1}"
        stages[name] = nn.Sequential(*units)
    return make_chain(**stages), channels


def make_stem(spec: PreActResNetSpec, in_channels: int) -> tuple[nn.Sequential, int]:
    """Build conv1 and, for ImageNet, the pooling; give them and the channels that leave them.

    On CIFAR conv1 has what of batch norm and ReLU the first unit does not begin with.
    """
    if spec.stem == "imagenet":
        return make_chain(conv1=ConvNorm(in_channels, 64, 7, 2), pool=nn.MaxPool2d(3, 2, 1)), 64
    channels, left = spec.widths[0], [kind for kind in PARTS if kind not in spec.order.before]
    if "norm" in left:
        conv1 = ConvNorm(in_channels, channels, 3, act=nn.ReLU if "act" in left else None)
    else:
        conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
    return make_chain(conv1=conv1), channels


class PreActResNet(nn.Module):
    """Stem, stages, the last activation, classifier: (N, in_channels, H, W) -> (N, classes).

    The last addition has no unit behind it that would activate it: `final` does (section 4.1).
    """

    @drawn_once
    def __init__(
        self, spec: PreActResNetSpec, num_classes: int = 1000, in_channels: int = 3
    ) -> None:
        super().__init__()
        self.in_channels, self.cam_layer = in_channels, "final"
        self.stem, channels = make_stem(spec, in_channels)
        self.stages, channels = make_stages(spec, channels)
        self.final = make_layers(spec.order.before, channels)
        self.head = Classifier(channels, num_classes)

    def reset_parameters(self) -> None:
        """Draw fresh weights as in ResNet: the initialization of He et al. 2015 (appendix)."""
        draw_layers(self, he_normal_)
        for gate in (module for module in self.modules() if isinstance(module, Gating)):
            gate.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images."""
        check_images(x, self.in_channels, (1, 1), "stem.conv1")
        return self.head(self.final(self.stages(self.stem(x))))


def _imagenet(blocks: tuple[int, ...], deviation: str = "") -> Variant[PreActResNetSpec]:
    return Variant(PreActResNetSpec(blocks), deviation=deviation)


def _cifar_basic(n: int) -> Variant[PreActResNetSpec]:
    """6n + 2 layers, the tables of ResNet's section 4.2 with its option A."""
    spec = PreActResNetSpec((n,) * 3, (3, 3), (16, 32, 64), 1, stem="cifar", shortcut="A")
    return Variant(spec, input_shape=(3, 32, 32), num_classes=10)


def _cifar_bottleneck(n: int) -> Variant[PreActResNetSpec]:
    """9n + 2 layers; 16 channels become 64, 128 and 256 by projections (authors' code)."""
    spec = PreActResNetSpec((n, n, n), widths=(16, 32, 64), stem="cifar", stride_on="1x1")
    return Variant(spec, input_shape=(3, 32, 32), num_classes=10)


_NOT_PRINTED = "The paper prints 152 and 200 layers on ImageNet, not this depth."

ARCHITECTURE = Architecture(
    Paper(
        "Identity Mappings in Deep Residual Networks",
        "Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun",
        2016,
        "https://arxiv.org/abs/1603.05027",
    ),
    PreActResNet,
    {
        "preact_resnet50": _imagenet((3, 4, 6, 3), _NOT_PRINTED),
        "preact_resnet101": _imagenet((3, 4, 23, 3), _NOT_PRINTED),
        "preact_resnet152": _imagenet((3, 8, 36, 3)),
        "preact_resnet200": _imagenet((3, 24, 36, 3)),
        "preact_resnet110_cifar": _cifar_basic(18),
        "preact_resnet164_cifar": _cifar_bottleneck(18),
        "preact_resnet1001_cifar": _cifar_bottleneck(111),
    },
    deviations=(
        "ImageNet nets: the stride is on the 3x3 convolution, as in facebook/fb.resnet.torch; the "
        "paper does not say. The CIFAR bottlenecks have it on the first 1x1, as in "
        "KaimingHe/resnet-1k-layers.",
        "Orders (a) to (d) of Figure 4 are drawn for units that keep the size; where it changes, "
        "the pre-activation of (d) is shared like that of (e), and a projection has batch norm "
        "where the end of the branch has it.",
        "The gates of Figure 2 look at the shortcut's output, which has the unit's width where "
        "the size changes.",
    ),
    layer_names={r"conv1": r"stem.conv1"},
)
