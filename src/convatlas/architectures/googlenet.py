"""GoogLeNet: Going Deeper with Convolutions (Szegedy, Liu, Jia et al.; 2014).

https://arxiv.org/abs/1409.4842 (CVPR 2015). Modules: Figure 2. The net: Table 1. Its side
classifiers: section 5. What the paper leaves open, the first weights and the constants of the
normalization, is as in the replica of BVLC/caffe, models/bvlc_googlenet.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.fields import check_chance
from convatlas.layers import (
    ConvLayer,
    LocalResponseNorm,
    Window,
    caffe_xavier_,
    check_images,
    drawn_once,
    fill_bias_,
    image_sides,
    make_chain,
    torch_bias_,
)


@dataclass(frozen=True, slots=True)
class Row:
    """An Inception module: its columns in Table 1, in maps."""

    conv1x1: int
    reduce3x3: int
    conv3x3: int
    reduce5x5: int
    conv5x5: int
    pool_proj: int


TABLE_1: dict[str, Row | None] = {  # None: 3x3 max pooling with stride 2
    #                  1x1  3x3:      5x5:     pool     output
    "inception_3a": Row(64, 96, 128, 16, 32, 32),  # 256 x 28 x 28
    "inception_3b": Row(128, 128, 192, 32, 96, 64),  # 480 x 28 x 28
    "pool3": None,
    "inception_4a": Row(192, 96, 208, 16, 48, 64),  # 512 x 14 x 14
    "inception_4b": Row(160, 112, 224, 24, 64, 64),  # 512 x 14 x 14
    "inception_4c": Row(128, 128, 256, 24, 64, 64),  # 512 x 14 x 14
    "inception_4d": Row(112, 144, 288, 32, 64, 64),  # 528 x 14 x 14
    "inception_4e": Row(256, 160, 320, 32, 128, 128),  # 832 x 14 x 14
    "pool4": None,
    "inception_5a": Row(256, 160, 320, 32, 128, 128),  # 832 x 7 x 7
    "inception_5b": Row(384, 192, 384, 48, 128, 128),  # 1024 x 7 x 7
}
SIDES = {"inception_4a": "aux1", "inception_4d": "aux2"}  # where the side classifiers branch off
SIDE_WEIGHT = 0.3  # section 5
# conv1, pool1, pool2, pool3: a 3x3/2 pooling that rounds up leaves half, rounded down
WINDOWS: tuple[Window, ...] = ((7, 2, 3), (2, 2, 0), (2, 2, 0), (2, 2, 0))


class Inception(nn.ModuleDict):
    """Branches over the same maps, their outputs one after the other: (N, C, H, W) -> (N, C', ...).

    Section 4, Figure 2.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate what the branches make of `x`, in their order."""
        return torch.cat([branch(x) for branch in self.values()], dim=1)


MakeLayer = Callable[..., nn.Module]  # as ConvLayer
MakeModule = Callable[[int, Row, MakeLayer], tuple[Inception, int]]


def make_module(
    in_channels: int, row: Row, layer: MakeLayer, wide_kernel: int = 5
) -> tuple[Inception, int]:
    """Build a module with 1x1 reductions (Figure 2b); give it and the maps that leave it."""
    branches = {
        "conv1x1": layer(in_channels, row.conv1x1, 1),
        "conv3x3": make_chain(
            reduce=layer(in_channels, row.reduce3x3, 1),
            conv=layer(row.reduce3x3, row.conv3x3, 3),
        ),
        "conv5x5": make_chain(
            reduce=layer(in_channels, row.reduce5x5, 1),
            conv=layer(row.reduce5x5, row.conv5x5, wide_kernel),
        ),
        "pool": make_chain(pool=nn.MaxPool2d(3, 1, 1), proj=layer(in_channels, row.pool_proj, 1)),
    }
    return Inception(branches), row.conv1x1 + row.conv3x3 + row.conv5x5 + row.pool_proj


def make_naive_module(in_channels: int, row: Row, layer: MakeLayer) -> tuple[Inception, int]:
    """Build a module without reductions (Figure 2a); all maps that enter leave it again too."""
    branches = {
        "conv1x1": layer(in_channels, row.conv1x1, 1),
        "conv3x3": layer(in_channels, row.conv3x3, 3),
        "conv5x5": layer(in_channels, row.conv5x5, 5),
        "pool": nn.MaxPool2d(3, 1, 1),
    }
    return Inception(branches), in_channels + row.conv1x1 + row.conv3x3 + row.conv5x5


@dataclass(frozen=True, slots=True)
class GoogLeNetSpec:
    """What tells one network of this family from another."""

    module: MakeModule = make_module  # builds an Inception module of a row of Table 1
    norm: Literal["local", "batch"] = "local"  # response normalization around conv2, or batch norm
    pool4: Literal[2, 3] = 3  # height and width of the last max pooling
    dropout: float = 0.4  # before the classifier
    sides: bool = False  # the classifiers of section 5; only `forward_with_sides` runs them
    side_pool: Literal["5x5", "adaptive"] = "5x5"  # with stride 3, for 14x14 maps; or to 4x4
    init: Literal["caffe", "torchvision"] = "caffe"  # who the first weights are drawn like

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        check_chance(self, "dropout")

    @property
    def layer(self) -> MakeLayer:
        """What every convolution is built by."""
        return partial(ConvLayer, eps=1e-3) if self.norm == "batch" else ConvLayer


class Side(NamedTuple):
    """What a side classifier says, and what its loss counts for in training."""

    logits: Tensor  # (N, num_classes)
    weight: float


def make_stem(spec: GoogLeNetSpec, in_channels: int) -> nn.Sequential:
    """Build conv1, pool1, conv2 and pool2: (N, in_channels, H, W) -> (N, 192, H / 8, W / 8)."""
    local = partial(LocalResponseNorm, 5, 2e-5, 0.75, 1.0)  # Caffe's alpha of 1e-4 is over 5 maps
    return make_chain(
        conv1=spec.layer(in_channels, 64, 7, 2),
        pool1=_make_pool(),
        norm1=local() if spec.norm == "local" else None,
        conv2=make_chain(reduce=spec.layer(64, 64, 1), conv=spec.layer(64, 192, 3)),
        norm2=local() if spec.norm == "local" else None,
        pool2=_make_pool(),
    )


def make_stages(spec: GoogLeNetSpec, in_channels: int) -> tuple[nn.Sequential, dict[str, int]]:
    """Build the rows of Table 1; give them and the number of maps that leave each."""
    stages, channels = OrderedDict[str, nn.Module](), in_channels
    widths: dict[str, int] = {}
    for name, row in TABLE_1.items():
        if row is None:
            stages[name] = _make_pool(spec.pool4 if name == "pool4" else 3)
        else:
            stages[name], channels = spec.module(channels, row, spec.layer)
        widths[name] = channels
    return nn.Sequential(stages), widths


def make_head(in_channels: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Build the average over the map, dropout and the classifier."""
    return make_chain(
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        dropout=nn.Dropout(dropout),
        fc=nn.Linear(in_channels, num_classes),
    )


def make_side(spec: GoogLeNetSpec, in_channels: int, num_classes: int) -> nn.Sequential:
    """Build what branches off while training (section 5): (N, C, 14, 14) -> (N, num_classes)."""
    return make_chain(
        pool=nn.AvgPool2d(5, 3) if spec.side_pool == "5x5" else nn.AdaptiveAvgPool2d(4),
        conv=spec.layer(in_channels, 128, 1),
        flatten=nn.Flatten(),
        fc1=nn.Linear(128 * 4 * 4, 1024),
        act=nn.ReLU(),
        dropout=nn.Dropout(0.7),
        fc2=nn.Linear(1024, num_classes),
    )


class GoogLeNet(nn.Module):
    """Stem, nine Inception modules, classifier: (N, in_channels, H, W) -> (N, num_classes)."""

    cam_layer = "stages.inception_5b"

    @drawn_once
    def __init__(self, spec: GoogLeNetSpec, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.spec, self.in_channels = spec, in_channels
        self.least, _ = image_sides(1, [*WINDOWS, (spec.pool4 - 1, 2, 0)])
        self.stem = make_stem(spec, in_channels)
        self.stages, widths = make_stages(spec, 192)
        self.head = make_head(widths["inception_5b"], num_classes, spec.dropout)
        self.sides = nn.ModuleDict()
        for stage, side in SIDES.items() if spec.sides else ():
            self.sides[side] = make_side(spec, widths[stage], num_classes)

    def reset_parameters(self) -> None:
        """Draw fresh weights as the paper's replica does, or torchvision; the paper doesn't say."""
        for name, module in self.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
            elif isinstance(module, nn.Conv2d | nn.Linear):
                if self.spec.init == "caffe":
                    caffe_xavier_(module)
                    fill_bias_(module, 0.0 if name.endswith((".fc", ".fc2")) else 0.2)
                else:
                    nn.init.trunc_normal_(module.weight, 0.0, 0.01, -2.0, 2.0)
                    torch_bias_(module)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images."""
        self._check(x)
        return self.head(self.stages(self.stem(x)))

    def forward_with_sides(self, x: Tensor) -> tuple[Tensor, tuple[Side, ...]]:
        """Give the logits, and those of the side classifiers with the weight of each in the loss.

        Raises:
            InputError: The network was built without side classifiers, or the images have a size
                that theirs can't take.
        """
        if not self.spec.sides:
            raise InputError("this network has no side classifiers: build it with sides=True")
        self._check(x)
        if self.spec.side_pool == "5x5":
            _check_side_size(x)
        x, sides = self.stem(x), []
        for name, stage in self.stages.named_children():
            x = stage(x)
            if name in SIDES:
                sides.append(Side(self.sides[SIDES[name]](x), SIDE_WEIGHT))
        return self.head(x), tuple(sides)

    def _check(self, x: Tensor) -> None:
        layer = "stages.pool4" if self.spec.pool4 == 3 else "stages.pool3"
        check_images(x, self.in_channels, (self.least, self.least), layer)


def _make_pool(kernel: int = 3) -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel, 2, ceil_mode=True)  # Caffe rounds up


def _check_side_size(x: Tensor) -> None:
    least, most = image_sides(14, WINDOWS)[0], image_sides(16, WINDOWS)[1]  # 5x5/3 makes 4x4
    if not all(least <= size <= most for size in x.shape[2:]):
        raise InputError(
            f"the side classifiers take images of {least} to {most} pixels a side; "
            f"got {x.shape[2]}x{x.shape[3]}"
        )


_PAPER = GoogLeNetSpec()
_TORCHVISION = GoogLeNetSpec(
    partial(make_module, wide_kernel=3), "batch", 2, 0.2, side_pool="adaptive", init="torchvision"
)

ARCHITECTURE = Architecture(
    Paper(
        "Going Deeper with Convolutions",
        "Christian Szegedy, Wei Liu, Yangqing Jia, Pierre Sermanet, Scott Reed, "
        "Dragomir Anguelov, Dumitru Erhan, Vincent Vanhoucke, Andrew Rabinovich",
        2014,
        "https://arxiv.org/abs/1409.4842",
    ),
    GoogLeNet,
    {
        "googlenet": Variant(_PAPER),
        "googlenet_naive": Variant(
            replace(_PAPER, module=make_naive_module),
            deviation="Every module is the naive one of Figure 2a, with the maps of Table 1: the "
            "network that section 4 argues against.",
        ),
        "googlenet_torchvision": Variant(
            _TORCHVISION,
            deviation="torchvision's `googlenet`: batch norm in each convolution in place of "
            "biases and local response normalization, 3x3 filters where the paper has 5x5, a 2x2 "
            "pool4, dropout of 0.2.",
        ),
    },
    deviations=(
        "conv1 is a dense 7x7 convolution, as Table 1 describes it; the parameters and operations "
        "that it prints for it are those of a separable one.",
    ),
    builds_on={
        "nin": "1x1 convolutions between the others, and averaged maps before the classifier "
        "(sections 2 and 5).",
    },
)
