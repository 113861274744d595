"""SqueezeNet: AlexNet-level accuracy with 50x fewer parameters (Iandola et al.; 2016).

https://arxiv.org/abs/1602.07360. The net: Table 1. Its design space: section 5. Bypasses: section
6. Version 1.1 and the layer names: the authors' release, forresti/SqueezeNet.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.fields import check_least
from convatlas.layers import caffe_xavier_, check_images, drawn_once, fill_bias_

Bypass = Literal["none", "simple", "complex"]  # Figure 2: left, middle, right
FIRE_MODULES = range(2, 10)  # fire2 ... fire9 stand between conv1 and conv10


@dataclass(frozen=True, slots=True)
class SqueezeNetSpec:
    """What tells one SqueezeNet from another: the metaparameters of section 5, and three choices.

    Attributes:
        conv1: Filters of conv1 and their height and width; its stride is 2.
        pool_after: The fire modules that a max pooling follows, as Table 1 places them.
        bypass: The shortcuts around fire modules (section 6).
        conv10_padding: Border of zeros around the maps that conv10 sees.
        base_e: Filters that the first fire module expands to.
        incr_e: How many more each group of `freq` modules expands to.
        freq: Modules of one group.
        pct3x3: Fraction of the expand filters that are 3x3.
        squeeze_ratio: SR, squeeze filters / expand filters.
    """

    conv1: tuple[int, int] = (96, 7)
    pool_after: tuple[int, ...] = (4, 8)
    bypass: Bypass = "none"
    conv10_padding: int = 0
    base_e: int = 128
    incr_e: int = 128
    freq: int = 2
    pct3x3: float = 0.5
    squeeze_ratio: float = 0.125

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        check_least(self, 0, "incr_e", "conv10_padding")
        check_least(self, 1, "base_e", "freq")
        if min(self.conv1) < 1:
            raise InputError(f"conv1 has at least 1 filter of at least 1x1, not {self.conv1}")
        for name in ("pct3x3", "squeeze_ratio"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise InputError(f"{name} is a fraction, at most 1, not {value!r}")
        for i in FIRE_MODULES:
            if min(self.squeeze_and_expand(i)) < 1:
                raise InputError(f"fire{i} has no filter left of {self.squeeze_and_expand(i)}")
        if not set(self.pool_after) <= set(FIRE_MODULES):
            raise InputError(f"pool_after names fire modules from 2 to 9, not {self.pool_after}")

    def squeeze_and_expand(self, i: int) -> tuple[int, int, int]:
        """Give the filters of fire module `i`: squeeze, expand 1x1, expand 3x3 (section 5.1)."""
        expand = self.base_e + self.incr_e * ((i - FIRE_MODULES[0]) // self.freq)
        expand3x3 = round(self.pct3x3 * expand)
        return round(self.squeeze_ratio * expand), expand - expand3x3, expand3x3

    @property
    def smallest_input(self) -> int:
        """Height and width for which the last max pooling still has an output."""
        pools = 1 + len(set(self.pool_after))
        # a 3x3/2 pooling that rounds up makes n pixels of 2n; conv1 is not padded
        return (2**pools - 1) * 2 + self.conv1[1]


class Fire(nn.Module):
    """1x1 squeeze, then 1x1 and 3x3 expand side by side (Figure 1): (N, in, H, W) -> (N, e, H, W).

    `bypass` is what the input goes through before it is added to the output; None: nothing is
    added.
    """

    def __init__(
        self,
        in_channels: int,
        squeeze: int,
        expand1x1: int,
        expand3x3: int,
        bypass: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(in_channels, squeeze, 1)
        self.relu_squeeze1x1 = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeeze, expand1x1, 1)
        self.relu_expand1x1 = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeeze, expand3x3, 3, padding=1)
        self.relu_expand3x3 = nn.ReLU()
        self.bypass = bypass

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate both expansions, the 1x1 first; no ReLU follows the bypass."""
        squeezed = self.relu_squeeze1x1(self.squeeze1x1(x))
        narrow = self.relu_expand1x1(self.expand1x1(squeezed))
        wide = self.relu_expand3x3(self.expand3x3(squeezed))
        y = torch.cat((narrow, wide), dim=1)
        return y if self.bypass is None else y + self.bypass(x)


def make_bypass(in_channels: int, out_channels: int, bypass: Bypass) -> nn.Module | None:
    """Build the shortcut around one fire module (section 6); None: it has none.

    A simple bypass needs as many maps in as out; a complex one puts a 1x1 convolution where they
    differ.
    """
    if bypass == "none":
        return None
    if in_channels == out_channels:
        return nn.Identity()
    return nn.Conv2d(in_channels, out_channels, 1) if bypass == "complex" else None


def make_stages(spec: SqueezeNetSpec) -> tuple[nn.Sequential, int]:
    """Build fire2 to fire9 with their poolings; give them and the number of maps that leave."""
    stages, channels = OrderedDict[str, nn.Module](), spec.conv1[0]
    for i in FIRE_MODULES:
        squeeze, expand1x1, expand3x3 = spec.squeeze_and_expand(i)
        out = expand1x1 + expand3x3
        bypass = make_bypass(channels, out, spec.bypass)
        stages[f"fire{i}"] = Fire(channels, squeeze, expand1x1, expand3x3, bypass)
        if i in spec.pool_after:
            stages[f"maxpool{i}"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        channels = out
    return nn.Sequential(stages), channels


class SqueezeNet(nn.Module):
    """conv1, eight fire modules, conv10, global average: (N, C, H, W) -> (N, num_classes)."""

    @drawn_once
    def __init__(self, spec: SqueezeNetSpec, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.in_channels, self.smallest = in_channels, spec.smallest_input
        filters, kernel = spec.conv1
        self.stem = nn.Sequential(
            OrderedDict[str, nn.Module](
                conv1=nn.Conv2d(in_channels, filters, kernel, 2),
                relu_conv1=nn.ReLU(),
                maxpool1=nn.MaxPool2d(3, 2, ceil_mode=True),  # Caffe rounds up
            )
        )
        self.stages, channels = make_stages(spec)
        self.head = nn.Sequential(
            OrderedDict[str, nn.Module](
                drop9=nn.Dropout(0.5),
                conv10=nn.Conv2d(channels, num_classes, 1, padding=spec.conv10_padding),
                relu_conv10=nn.ReLU(),
                pool10=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
            )
        )
        pools = ["stem.maxpool1", *(f"stages.maxpool{i}" for i in sorted(spec.pool_after))]
        self.last_pool = pools[-1]
        self.cam_layer = "head.relu_conv10"  # one map a class

    def reset_parameters(self) -> None:
        """Draw fresh weights as the authors' Caffe net does, which calls its filler "xavier".

        Uniform in +-sqrt(3 / fan_in); conv10 N(0, 0.01^2); biases 0.
        """
        for name, module in self.named_modules():
            if not isinstance(module, nn.Conv2d):
                continue
            if name == "head.conv10":
                nn.init.normal_(module.weight, 0.0, 0.01)
            else:
                caffe_xavier_(module)
            fill_bias_(module)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images; none is below 0, for a ReLU follows conv10."""
        check_images(x, self.in_channels, (self.smallest, self.smallest), self.last_pool)
        return self.head(self.stages(self.stem(x)))


_PAPER = SqueezeNetSpec()


def _variant(deviation: str = "", **changes: Any) -> Variant[SqueezeNetSpec]:
    return Variant(replace(_PAPER, **changes), input_shape=(3, 227, 227), deviation=deviation)


ARCHITECTURE = Architecture(
    Paper(
        "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
        "Forrest N. Iandola, Song Han, Matthew W. Moskewicz, Khalid Ashraf, William J. Dally, "
        "Kurt Keutzer",
        2016,
        "https://arxiv.org/abs/1602.07360",
    ),
    SqueezeNet,
    {
        "squeezenet1_0": _variant(),
        "squeezenet1_0_bypass": _variant(bypass="simple"),
        "squeezenet1_0_complex_bypass": _variant(bypass="complex"),
        "squeezenet1_0_caffe": _variant(
            "conv10 is padded by 1, as in the authors' released model: 15x15 class maps, where "
            "Table 1 prints 13x13; same weights, other logits.",
            conv10_padding=1,
        ),
        "squeezenet1_1": _variant(
            "The authors' later release: conv1 has 64 filters of 3x3, and the poolings follow "
            "fire3 and fire5; 2.1 times fewer multiply-adds.",
            conv1=(64, 3),
            pool_after=(3, 5),
        ),
    },
    deviations=(
        "The input is 227x227, as in the released models: Table 1 prints 224x224 and the 111x111 "
        "maps of conv1 that only 227 gives without padding.",
        "The 1x1 convolutions of the complex bypass have a bias and no ReLU, and stand where the "
        "number of maps changes: 1,589,672 parameters or 6.4 MB; Table 3 prints 7.7 MB, which "
        "the text doesn't lead to.",
    ),
    layer_names={
        r"(conv1|maxpool1)": r"stem.\1",
        r"(fire\d|maxpool\d)": r"stages.\1",
        r"(conv10|pool10)": r"head.\1",
    },
    builds_on={
        "nin": "No fully connected layer: an average over maps of classes (section 3.3).",
        "googlenet": "Filters of several sizes side by side (section 2.2).",
        "resnet": "Shortcuts around modules (section 6).",
    },
)
