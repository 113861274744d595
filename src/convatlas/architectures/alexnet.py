"""AlexNet: ImageNet Classification with Deep Convolutional Neural Networks.

Krizhevsky, Sutskever, Hinton; 2012: https://papers.nips.cc/paper/4824. The net: section 3.5 and
Figure 2. Its two towers: section 3.2. Its normalization: 3.3. Its overlapping pooling: 3.4. Its
first weights: section 5.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.fields import check_least
from convatlas.layers import (
    LocalResponseNorm,
    TowerNorm,
    Towers,
    Window,
    check_images,
    check_map,
    drawn_once,
    fill_bias_,
    image_sides,
    map_side,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A convolutional layer and what follows it: a sentence of section 3.5."""

    maps: int
    kernel: int
    stride: int = 1
    split: bool = False  # each half of the maps sees only one half of the maps below
    after: tuple[str, ...] = ("relu",)


PAPER = {
    "conv1": Row(96, 11, stride=4, after=("relu", "norm", "pool")),  # 55 x 55, pooled to 27 x 27
    "conv2": Row(256, 5, split=True, after=("relu", "norm", "pool")),  # 27 x 27, to 13 x 13
    "conv3": Row(384, 3),  # 13 x 13; the only one after conv1 that sees both halves
    "conv4": Row(384, 3, split=True),  # 13 x 13
    "conv5": Row(256, 3, split=True, after=("relu", "pool")),  # 13 x 13, to 6 x 6
}
BATCH_NORM = {
    name: replace(row, after=("bn", *(part for part in row.after if part != "norm")))
    for name, row in PAPER.items()
}
CAFFENET = {
    **PAPER,
    "conv1": Row(96, 11, stride=4, after=("relu", "pool", "norm")),
    "conv2": Row(256, 5, split=True, after=("relu", "pool", "norm")),
}
ONE_WEIRD_TRICK = {
    "conv1": Row(64, 11, stride=4, after=("relu", "pool")),
    "conv2": Row(192, 5, after=("relu", "pool")),
    "conv3": Row(384, 3),
    "conv4": Row(256, 3),
    "conv5": Row(256, 3, after=("relu", "pool")),
}
POOL: Window = (3, 2, 0)  # overlapping (section 3.4)
NATIVE = 227
PRINTED_SIZE = (
    " (the 224x224 that the paper prints gives smaller maps: crop to 227x227, or build it with "
    "input_size=224)"
)
WEIGHTED = (nn.Conv2d, nn.Linear)
MAP_SIDE = 6  # height and width of the maps that reach fc6
RAISED_BIAS = ("conv2", "conv4", "conv5", "fc6", "fc7")  # gives their ReLUs positive input at first
INITS = {  # deviation of the weights; of those of fc6 and fc7; the raised bias
    "paper": (0.01, 0.01, 1.0),  # section 5
    "caffe": (0.01, 0.005, 0.1),  # with 1, Caffe's loss stayed flat
}


@dataclass(frozen=True, slots=True)
class AlexNetSpec:
    """What tells one network of this family from another."""

    rows: Mapping[str, Row]  # the convolutional layers by name
    groups: int = 2  # parts into which the split layers are cut; 1: they see all maps
    towers: bool = False  # build the halves as two towers that may live on two devices
    units: int = 4096  # of fc6 and fc7
    dropout: Literal["after", "before"] = "after"  # where it stands at fc6 and fc7
    input_size: int | None = NATIVE  # that fc6 is made for; None: any, averaged to 6x6 maps
    conv1_padding: int = 0  # 2 gives a 224x224 image the 55x55 maps that the paper prints
    lrn_alpha: float = 1e-4  # as the paper writes it; Caffe's 1e-4 is 2e-5 here
    lrn_k: float = 2.0  # 1 in Caffe
    init: Literal["paper", "caffe", "torch"] = "paper"  # section 5, or Caffe's values, or torch's

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        if self.groups not in (1, 2):
            raise InputError(f"groups is 2, or 1 for no groups, not {self.groups!r}")
        check_least(self, 0, "conv1_padding")
        check_least(self, 1, "units")
        if self.input_size is not None:
            check_least(self, image_sides(1, self.windows())[0], "input_size")
        fit = self.groups == 2 and self.input_size and self.units % 2 == 0
        if self.towers and not (fit and self.dropout == "after"):
            raise InputError(
                "towers need groups=2, an input_size, an even number of units, dropout='after'"
            )

    def padding(self, name: str) -> int:
        """Give the padding of a convolution: it keeps the size, but for conv1."""
        return self.conv1_padding if name == "conv1" else self.rows[name].kernel // 2

    def windows(self) -> list[Window]:
        """List kernel, stride and padding of each convolution and pooling."""
        found: list[Window] = []
        for name, row in self.rows.items():
            found.append((row.kernel, row.stride, self.padding(name)))
            found += [POOL for part in row.after if part == "pool"]
        return found


def make_layers(
    spec: AlexNetSpec, in_channels: int, towers: int = 1
) -> OrderedDict[str, nn.Module]:
    """Build conv1 to pool5 by Caffe's names, or with towers=2 one tower's half of them."""
    layers = OrderedDict[str, nn.Module]()
    below = in_channels
    for i, (name, row) in enumerate(spec.rows.items(), start=1):
        layers[name] = nn.Conv2d(
            below // towers if row.split else below,
            row.maps // towers,
            row.kernel,
            row.stride,
            spec.padding(name),
            groups=spec.groups // towers if row.split else 1,
            bias="bn" not in row.after,
        )
        for part in row.after:
            layers[f"{part}{i}"] = _make_part(part, spec, row.maps // towers)
        below = row.maps
    return layers


def _make_part(part: str, spec: AlexNetSpec, maps: int) -> nn.Module:
    if part == "norm":
        norm = LocalResponseNorm(alpha=spec.lrn_alpha, k=spec.lrn_k)
        return TowerNorm(norm) if spec.towers else norm
    if part == "bn":
        return nn.BatchNorm2d(maps)
    return nn.MaxPool2d(*POOL) if part == "pool" else nn.ReLU()


def make_stages(spec: AlexNetSpec, in_channels: int) -> nn.Sequential:
    """Build the convolutional layers: (N, in_channels, H, W) -> (N, 256, H', W').

    Towers are joined before the last ReLU: a class activation map needs a layer of all maps.
    """
    if not spec.towers:
        return nn.Sequential(make_layers(spec, in_channels))
    halves = [make_layers(spec, in_channels, towers=2) for _ in range(2)]
    ends = [{name: half.pop(name) for name in ("relu5", "pool5")} for half in halves]
    crossing = {name for name, row in spec.rows.items() if not row.split}
    return nn.Sequential(OrderedDict[str, nn.Module](towers=Towers(halves, crossing), **ends[0]))


def make_units(spec: AlexNetSpec, features: int, towers: int = 1) -> OrderedDict[str, nn.Module]:
    """Build fc6 and fc7, or with towers=2 one tower's half of them."""
    layers = OrderedDict[str, nn.Module]()
    for i, inputs in ((6, features), (7, spec.units)):
        if spec.dropout == "before":
            layers[f"drop{i}"] = nn.Dropout(0.5)
        layers[f"fc{i}"] = nn.Linear(inputs, spec.units // towers)
        layers[f"relu{i}"] = nn.ReLU()
        if spec.dropout == "after":
            layers[f"drop{i}"] = nn.Dropout(0.5)
    return layers


def make_head(spec: AlexNetSpec, features: int, num_classes: int) -> nn.Sequential:
    """Build the fully connected layers: (N, 256, 6, 6) -> (N, num_classes)."""
    layers = OrderedDict[str, nn.Module]()
    if spec.input_size is None:
        layers["avgpool"] = nn.AdaptiveAvgPool2d(MAP_SIDE)
    layers["flatten"] = nn.Flatten()
    if spec.towers:
        halves = [make_units(spec, features, towers=2) for _ in range(2)]
        layers["towers"] = Towers(halves, {"fc6", "fc7"})
    else:
        layers.update(make_units(spec, features))
    layers["fc8"] = nn.Linear(spec.units, num_classes)
    return nn.Sequential(layers)


class AlexNet(nn.Module):
    """Five convolutions, three fully connected layers: (N, in_channels, H, W) -> (N, classes)."""

    cam_layer = "stages.relu5"

    @drawn_once
    def __init__(self, spec: AlexNetSpec, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.spec, self.in_channels = spec, in_channels
        windows = spec.windows()
        self.map_side = MAP_SIDE if spec.input_size is None else map_side(spec.input_size, windows)
        # least and largest image
        self._legal = image_sides(1 if spec.input_size is None else self.map_side, windows)
        features = spec.rows["conv5"].maps * self.map_side**2
        self.stages = make_stages(spec, in_channels)
        self.head = make_head(spec, features, num_classes)

    def reset_parameters(self) -> None:
        """Draw fresh weights as section 5 says, or as the spec's `init` does."""
        own = (nn.BatchNorm2d,) if self.spec.init != "torch" else (nn.BatchNorm2d, *WEIGHTED)
        for name, module in self.named_modules():
            if isinstance(module, own):
                module.reset_parameters()
            elif isinstance(module, WEIGHTED):
                layer, (std, fc_std, bias) = name.rpartition(".")[2], INITS[self.spec.init]
                nn.init.normal_(module.weight, 0.0, fc_std if layer in ("fc6", "fc7") else std)
                fill_bias_(module, bias if layer in RAISED_BIAS else 0.0)

    def place(self, first: torch.device | str, second: torch.device | str) -> "AlexNet":
        """Move the towers to two devices (section 3.2); fc8 and the logits are on the first.

        Raises:
            InputError: This network has no towers.
        """
        if not self.spec.towers:
            raise InputError("only alexnet_towers has towers to place on two devices")
        self.to(first)
        for part in (self.stages, self.head):
            part.get_submodule("towers.tower2").to(second)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images."""
        least, largest = self._legal
        layer = "stages.pool5" if self.spec.input_size is None else "head.fc6"
        if least == NATIVE:
            layer += PRINTED_SIZE
        check_images(x, self.in_channels, (least, least), layer, "AlexNet")
        maps = self.stages(x)
        if self.spec.input_size is not None:
            side = (self.map_side, self.map_side)
            check_map(maps, side, "head.fc6", f"{least} to {largest} pixels a side")
        return self.head(maps)


_PAPER = AlexNetSpec(PAPER)

ARCHITECTURE = Architecture(
    Paper(
        "ImageNet Classification with Deep Convolutional Neural Networks",
        "Alex Krizhevsky, Ilya Sutskever, Geoffrey E. Hinton",
        2012,
        "https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
    ),
    AlexNet,
    {
        "alexnet": Variant(_PAPER, (3, 227, 227)),
        "alexnet_towers": Variant(replace(_PAPER, towers=True), (3, 227, 227)),
        "alexnet_ungrouped": Variant(
            replace(_PAPER, groups=1), (3, 227, 227), 1000, "Every convolution sees all maps."
        ),
        "alexnet_bn": Variant(
            AlexNetSpec(BATCH_NORM),
            (3, 227, 227),
            deviation="Batch normalization after each convolution, in place of its bias and of "
            "local response normalization.",
        ),
        "alexnet_owt": Variant(
            AlexNetSpec(
                ONE_WEIRD_TRICK, dropout="before", input_size=None, conv1_padding=2, init="torch"
            ),
            deviation="torchvision's `alexnet`: the one tower of 'One weird trick' (Krizhevsky "
            "2014), without normalization, dropout before fc6 and fc7, any image size.",
        ),
        "caffenet": Variant(
            AlexNetSpec(CAFFENET, lrn_alpha=2e-5, lrn_k=1.0, init="caffe"),
            (3, 227, 227),
            deviation="Caffe's reference net: pooling before normalization, Caffe's constants.",
        ),
    },
    deviations=(
        "The input is 227x227: the 224 that the paper prints does not give its 55x55 maps.",
        "`alexnet` holds both halves as two groups in one module; `alexnet_towers` is the same "
        "function as two towers on one or two devices.",
        "Local response normalization sees the maps of both halves; the paper does not say.",
    ),
    builds_on={
        "lenet5": "Convolutions with shared weights, pooling and fully connected layers (section "
        "1).",
    },
)
