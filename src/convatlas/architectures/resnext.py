"""ResNeXt: Aggregated Residual Transformations for Deep Neural Networks (Xie et al.; 2016).

https://arxiv.org/abs/1611.05431 (CVPR 2017). ImageNet nets: Tables 1 to 4. CIFAR nets: section
5.3 and Table 7. A template "32x4d" is 32 paths of 4 channels in the first stage.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from convatlas.architectures.resnet import (
    Bottleneck,
    ResNet,
    ResNetSpec,
    Shortcut,
    add_shortcut,
    make_shortcut,
)
from convatlas.card import Architecture, Paper, Variant
from convatlas.fields import check_least
from convatlas.layers import ConvNorm

Form = Literal["A", "B", "C"]  # Figure 3; all three compute the same function


@dataclass(frozen=True, slots=True)
class ResNeXtSpec:
    """What tells one ResNeXt from another: the templates of Tables 1 and 2."""

    blocks: tuple[int, ...]
    cardinality: int  # C: paths in a block
    width: int  # d: channels of a path in the first stage; each further stage doubles them
    stem: Literal["imagenet", "cifar"] = "imagenet"
    shortcut: Shortcut | None = "B"
    form: Form = "C"  # grouped convolution, as trained

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        check_least(self, 1, "cardinality", "width")


class PathsBottleneck(nn.Module):
    """The block with each path drawn out: Figure 3(a), or with `form="B"` Figure 3(b).

    In (a) each path restores the channels and the paths are added; in (b) they are concatenated
    and restored together. Batch norm follows the sum, without which (a) would not equal (b).
    """

    def __init__(
        self,
        in_channels: int,
        path_width: int,
        out_channels: int,
        stride: int,
        shortcut: Shortcut | None,
        *,
        cardinality: int,
        form: Form,
    ) -> None:
        super().__init__()
        self.form = form
        self.paths = nn.ModuleList(
            _make_path(in_channels, path_width, out_channels, stride, form)
            for _ in range(cardinality)
        )
        self.restore = (
            nn.BatchNorm2d(out_channels)
            if form == "A"
            else ConvNorm(path_width * cardinality, out_channels, 1, act=None)
        )
        self.shortcut = make_shortcut(in_channels, out_channels, stride, shortcut)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride): equation 3."""
        paths = [path(x) for path in self.paths]
        y = torch.stack(paths).sum(0) if self.form == "A" else torch.cat(paths, dim=1)
        return self.act(add_shortcut(self.restore(y), x, self.shortcut))


def _make_path(
    in_channels: int, width: int, out_channels: int, stride: int, form: Form
) -> nn.Sequential:
    path = OrderedDict[str, nn.Module](
        reduce=ConvNorm(in_channels, width, 1), conv=ConvNorm(width, width, 3, stride)
    )
    if form == "A":
        path["restore"] = nn.Conv2d(width, out_channels, 1, bias=False)
    return nn.Sequential(path)


def make_block(
    in_channels: int,
    width: int,
    out_channels: int,
    stride: int,
    shortcut: Shortcut | None,
    *,
    cardinality: int,
    path_width: int,
    form: Form,
) -> nn.Module:
    """Build a block where ResNet has a bottleneck of `width`; `path_width` holds where that is 64.

    The stride is on the 3x3 in every stage (section 4).
    """
    path_width = width * path_width // 64
    if form == "C":
        inner = path_width * cardinality
        return Bottleneck(
            in_channels, inner, out_channels, stride, shortcut, groups=cardinality, stride_on="3x3"
        )
    return PathsBottleneck(
        in_channels, path_width, out_channels, stride, shortcut, cardinality=cardinality, form=form
    )


def make_net(spec: ResNeXtSpec, num_classes: int = 1000, in_channels: int = 3) -> ResNet:
    """Build the ResNet whose bottlenecks are the blocks of `spec` (Table 1)."""
    block = partial(make_block, cardinality=spec.cardinality, path_width=spec.width, form=spec.form)
    widths = tuple(64 * 2**stage for stage in range(len(spec.blocks)))
    resnet = ResNetSpec(
        block, spec.blocks, widths, expansion=4, stem=spec.stem, shortcut=spec.shortcut
    )
    return ResNet(resnet, num_classes, in_channels)


_BLOCKS = {"50": (3, 4, 6, 3), "101": (3, 4, 23, 3)}


def _imagenet(depth: str, cardinality: int, width: int, deviation: str = "") -> Variant:
    return Variant(ResNeXtSpec(_BLOCKS[depth], cardinality, width), deviation=deviation)


def _cifar(cardinality: int, width: int) -> Variant:
    """29 layers: three stages of three blocks (section 5.3)."""
    spec = ResNeXtSpec((3, 3, 3), cardinality, width, stem="cifar")
    return Variant(spec, input_shape=(3, 32, 32), num_classes=10)


def parse(name: str) -> Variant[ResNeXtSpec] | None:
    """Read `resnext<50 or 101>_<C>x<d>d`, `resnet<50 or 101>_1x<d>d`, `resnext29_<C>x<d>d_cifar`.

    Tables 3 and 4 call a single path a ResNet, whatever its width.
    """
    found = re.fullmatch(r"resnext(50|101)_([1-9]\d{0,3})x([1-9]\d{0,3})d", name)
    found = found or re.fullmatch(r"resnet(50|101)_(1)x([1-9]\d{0,3})d", name)
    if found is not None:
        return _imagenet(found[1], int(found[2]), int(found[3]))
    found = re.fullmatch(r"resnext29_([1-9]\d{0,3})x([1-9]\d{0,3})d_cifar", name)
    return None if found is None else _cifar(int(found[1]), int(found[2]))


ARCHITECTURE = Architecture(
    Paper(
        "Aggregated Residual Transformations for Deep Neural Networks",
        "Saining Xie, Ross Girshick, Piotr Dollár, Zhuowen Tu, Kaiming He",
        2016,
        "https://arxiv.org/abs/1611.05431",
    ),
    make_net,
    {
        "resnext50_32x4d": _imagenet("50", 32, 4),
        "resnext101_32x4d": _imagenet("101", 32, 4),
        "resnext101_32x8d": _imagenet(
            "101", 32, 8, "Not in the paper: the template of torchvision and of the WSL models."
        ),
        "resnext101_64x4d": _imagenet("101", 64, 4),
        "resnext29_8x64d_cifar": _cifar(8, 64),
        "resnext29_16x64d_cifar": _cifar(16, 64),
    },
    deviations=(
        "The CIFAR nets are those of facebookresearch/ResNeXt, with the nonlinearity after the "
        "addition; the text of section 5.3 says pre-activation.",
    ),
    parse=parse,
    forms=(
        "resnext50_<C>x<d>d",
        "resnext101_<C>x<d>d",
        "resnext29_<C>x<d>d_cifar",
        "resnet50_1x<d>d",
        "resnet101_1x<d>d",
    ),
    layer_names={r"conv1": r"stem.conv1"},
    builds_on={
        "googlenet": "Split, transform, merge: branches over the same maps (section 1).",
    },
)
