"""DenseNet: Densely Connected Convolutional Networks (Huang, Liu et al.; 2016).

https://arxiv.org/abs/1608.06993 (CVPR 2017). ImageNet nets: Table 1. CIFAR and SVHN nets: section
3 and Table 2. "BC" has bottleneck layers (B) and compressing transitions (C).
"""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.fields import check_chance, check_least
from convatlas.layers import (
    Classifier,
    ConvNorm,
    check_images,
    concatenated_again,
    draw_layers,
    drawn_once,
    he_fan_in_,
    he_normal_,
)


@dataclass(frozen=True, slots=True)
class DenseNetSpec:
    """What tells one DenseNet from another.

    Attributes:
        blocks: Layers in each dense block.
        growth_rate: k, the maps that each layer adds.
        init_channels: k0, the maps that enter the first block.
        bottleneck: B: a 1x1 convolution to 4 k maps before each 3x3.
        compression: theta, the fraction of the maps that a transition keeps; below 1: C.
        stem: 7x7 and pooling, or one 3x3 for 32x32 images.
        dropout: Probability of dropping a value after each convolution but the first of the
            network; the paper takes 0.2 where it does not augment (section 4.2).
        memory_efficient: While it learns, concatenate and normalise again in the backward pass
            instead of keeping what comes of it (Pleiss et al. 2017, 1707.06990).
    """

    blocks: tuple[int, ...]
    growth_rate: int
    init_channels: int
    bottleneck: bool = True
    compression: float = 0.5
    stem: Literal["imagenet", "cifar"] = "imagenet"
    dropout: float = 0.0
    memory_efficient: bool = False

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        if not self.blocks or min(self.blocks) < 1:
            raise InputError(f"blocks has a number of at least 1 for each block, not {self.blocks}")
        check_least(self, 1, "growth_rate", "init_channels")
        if not 0 < self.compression <= 1:
            raise InputError(f"compression must be in (0, 1], not {self.compression!r}")
        check_chance(self, "dropout")


class DenseLayer(nn.Module):
    """[x, H(x)]: (N, in, H, W) -> (N, in + growth_rate, H, W), what was there first (equation 2).

    H is batch norm, ReLU and a 3x3 convolution; in a bottleneck the same with a 1x1 to four times
    the growth rate comes before it (section 3).
    """

    def __init__(self, in_channels: int, spec: DenseNetSpec) -> None:
        super().__init__()
        kernels = (1, 3) if spec.bottleneck else (3,)
        layers, channels = OrderedDict[str, nn.Module](), in_channels
        for i, kernel in enumerate(kernels, start=1):
            maps = spec.growth_rate if kernel == 3 else 4 * spec.growth_rate
            layers[f"norm{i}"] = nn.BatchNorm2d(channels)
            layers[f"act{i}"] = nn.ReLU()
            layers[f"conv{i}"] = nn.Conv2d(channels, maps, kernel, padding=kernel // 2, bias=False)
            if spec.dropout > 0:
                layers[f"drop{i}"] = nn.Dropout(spec.dropout)
            channels = maps
        self.composite = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Append the new maps to all maps before them."""
        return torch.cat([x, self.composite(x)], dim=1)

    def grow(self, maps: Sequence[Tensor]) -> Tensor:
        """Give the new maps, without keeping the concatenation of those before them."""
        norm, act, conv, *rest = self.composite
        x = concatenated_again(maps, (norm, act, conv))
        for layer in rest:
            x = layer(x)
        return x


class EfficientBlock(nn.Module):
    """A dense block that keeps the maps of each layer once: (N, in, H, W) -> (N, out, H, W)."""

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Give the maps that entered, and those of every layer."""
        learns = self.training and torch.is_grad_enabled() and not torch.compiler.is_compiling()
        if not learns:
            for layer in self.children():
                x = layer(x)
            return x
        maps = [x]
        for layer in self.children():
            if isinstance(layer, DenseLayer):  # all are
                maps.append(layer.grow(maps))
        return torch.cat(maps, dim=1)


def make_transition(in_channels: int, out_channels: int, dropout: float) -> nn.Sequential:
    """Build what stands between two blocks: 1x1 convolution, then 2x2 average pooling."""
    layers = OrderedDict[str, nn.Module](
        norm=nn.BatchNorm2d(in_channels),
        act=nn.ReLU(),
        conv=nn.Conv2d(in_channels, out_channels, 1, bias=False),
    )
    if dropout > 0:
        layers["drop"] = nn.Dropout(dropout)
    layers["pool"] = nn.AvgPool2d(2)
    return nn.Sequential(layers)


def make_stages(spec: DenseNetSpec) -> tuple[nn.Sequential, int]:
    """Build dense1, transition1, dense2, ...; give them and the maps that leave the last block."""
    stages, channels = OrderedDict[str, nn.Module](), spec.init_channels
    for i, layers in enumerate(spec.blocks, start=1):
        if i > 1:
            kept = int(channels * spec.compression)
            if kept < 1:
                raise InputError(f"compression {spec.compression} keeps none of {channels} maps")
            stages[f"transition{i - 1}"] = make_transition(channels, kept, spec.dropout)
            channels = kept
        block = OrderedDict[str, nn.Module]()
        for layer in range(1, layers + 1):
            block[f"layer{layer}"] = DenseLayer(channels, spec)
            channels += spec.growth_rate
        make_block = EfficientBlock if spec.memory_efficient else nn.Sequential
        stages[f"dense{i}"] = make_block(block)
    return nn.Sequential(stages), channels


def make_stem(spec: DenseNetSpec, in_channels: int) -> nn.Sequential:
    """Build conv0 and, for ImageNet, pool0; on CIFAR the first layer brings its own batch norm."""
    stem = OrderedDict[str, nn.Module]()
    if spec.stem == "imagenet":
        stem["conv0"] = ConvNorm(in_channels, spec.init_channels, 7, 2)
        stem["pool0"] = nn.MaxPool2d(3, 2, 1)
    else:
        stem["conv0"] = nn.Conv2d(in_channels, spec.init_channels, 3, padding=1, bias=False)
    return nn.Sequential(stem)


class DenseNet(nn.Module):
    """Stem, dense blocks with transitions between them, the last activation, classifier.

    (N, in_channels, H, W) -> (N, num_classes).
    """

    @drawn_once
    def __init__(self, spec: DenseNetSpec, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.spec, self.in_channels = spec, in_channels
        self.stem = make_stem(spec, in_channels)
        self.stages, channels = make_stages(spec)
        norm, act = nn.BatchNorm2d(channels), nn.ReLU()
        self.final = nn.Sequential(OrderedDict[str, nn.Module](norm=norm, act=act))
        self.head = Classifier(channels, num_classes)
        self.cam_layer = "final"
        # the last transition still needs a 2x2 map; the ImageNet stem halves twice, rounding up
        least = 2 ** (len(spec.blocks) - 1)
        self.min_size = 4 * least - 3 if spec.stem == "imagenet" else least

    def reset_parameters(self) -> None:
        """Draw fresh weights as in He et al. 2015 (section 4.2).

        The authors' CIFAR code draws by fan-out, their ImageNet code by fan-in.
        """
        draw_layers(self, he_fan_in_ if self.spec.stem == "imagenet" else he_normal_)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images."""
        layer = f"stages.transition{len(self.spec.blocks) - 1}"
        check_images(x, self.in_channels, (self.min_size, self.min_size), layer)
        return self.head(self.final(self.stages(self.stem(x))))


def _imagenet(
    blocks: tuple[int, ...], growth_rate: int = 32, deviation: str = ""
) -> Variant[DenseNetSpec]:
    """A column of Table 1."""
    spec = DenseNetSpec(blocks, growth_rate, init_channels=2 * growth_rate)
    return Variant(spec, deviation=deviation)


def _cifar(depth: int, growth_rate: int) -> Variant[DenseNetSpec]:
    """The basic form: three blocks of (L - 4) / 3 layers, 16 maps before them (section 3)."""
    spec = DenseNetSpec(
        ((depth - 4) // 3,) * 3,
        growth_rate,
        init_channels=16,
        bottleneck=False,
        compression=1.0,
        stem="cifar",
    )
    return Variant(spec, input_shape=(3, 32, 32), num_classes=10)


def _cifar_bc(depth: int, growth_rate: int) -> Variant[DenseNetSpec]:
    """Three blocks of (L - 4) / 6 bottlenecks, 2 k maps before them (section 3)."""
    blocks = ((depth - 4) // 6,) * 3
    spec = DenseNetSpec(blocks, growth_rate, init_channels=2 * growth_rate, stem="cifar")
    return Variant(spec, input_shape=(3, 32, 32), num_classes=10)


def parse(name: str) -> Variant[DenseNetSpec] | None:
    """Read `densenet<3n+4>_k<k>_cifar` and `densenet_bc<6n+4>_k<k>_cifar`."""
    found = re.fullmatch(r"densenet(_bc)?([1-9]\d{0,3})_k([1-9]\d{0,2})_cifar", name)
    if found is None:
        return None
    depth, growth_rate, step = int(found[2]), int(found[3]), 6 if found[1] else 3
    if depth < step + 4 or (depth - 4) % step:
        return None
    return (_cifar_bc if found[1] else _cifar)(depth, growth_rate)


ARCHITECTURE = Architecture(
    Paper(
        "Densely Connected Convolutional Networks",
        "Gao Huang, Zhuang Liu, Laurens van der Maaten, Kilian Q. Weinberger",
        2016,
        "https://arxiv.org/abs/1608.06993",
    ),
    DenseNet,
    {
        "densenet121": _imagenet((6, 12, 24, 16)),
        "densenet169": _imagenet((6, 12, 32, 32)),
        "densenet201": _imagenet((6, 12, 48, 32)),
        "densenet264": _imagenet((6, 12, 64, 48)),
        "densenet161": _imagenet(
            (6, 12, 36, 24), 48, "In the first arXiv versions and the authors' code, not in print."
        ),
        "densenet40_k12_cifar": _cifar(40, 12),
        "densenet100_k12_cifar": _cifar(100, 12),
        "densenet100_k24_cifar": _cifar(100, 24),
        "densenet_bc100_k12_cifar": _cifar_bc(100, 12),
        "densenet_bc250_k24_cifar": _cifar_bc(250, 24),
        "densenet_bc190_k40_cifar": _cifar_bc(190, 40),
    },
    parse=parse,
    forms=("densenet<3n+4>_k<k>_cifar", "densenet_bc<6n+4>_k<k>_cifar"),
    layer_names={
        r"(conv0|pool0)": r"stem.\1",
        r"(dense\d|transition\d)": r"stages.\1",
    },
    builds_on={
        "preact_resnet": "Batch norm and ReLU before each convolution, and stages around "
        "poolings; what the shortcut adds is concatenated instead (section 3).",
    },
)
