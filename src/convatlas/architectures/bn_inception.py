"""BN-Inception: Batch Normalization (Ioffe, Szegedy; 2015).

https://arxiv.org/abs/1502.03167. The net: Figure 5. What changes in GoogLeNet: section 4.2 and the
appendix. The same net is `inception_v2` in the authors' TF-slim; the "Inception-v2" of Szegedy et
al. 2015 (1512.00567, Table 1) is another one.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from torch import Tensor, nn

from convatlas.architectures.googlenet import Inception, MakeLayer
from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.layers import (
    Classifier,
    ConvLayer,
    Window,
    check_images,
    draw_layers,
    drawn_once,
    he_fan_in_,
    image_sides,
    make_chain,
)

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}
# conv1, pool1, pool2: a 3x3/2 pooling that rounds up leaves half, rounded down
WINDOWS: tuple[Window, ...] = ((7, 2, 3), (2, 2, 0), (2, 2, 0))


@dataclass(frozen=True, slots=True)
class Row:
    """An Inception module: its columns in Figure 5, in maps."""

    conv1x1: int | None  # None: the module has stride 2, and no such branch
    reduce3x3: int
    conv3x3: int
    reduce_double: int
    double3x3: int
    pool: Literal["avg", "max"]
    pool_proj: int | None  # None: the pooled maps pass through

    def out_channels(self, in_channels: int) -> int:
        """Count the maps that leave the module."""
        pooled = in_channels if self.pool_proj is None else self.pool_proj
        return (self.conv1x1 or 0) + self.conv3x3 + self.double3x3 + pooled


FIGURE_5 = {
    #                    1x1   3x3:    double:  pool                     output
    "inception_3a": Row(64, 64, 64, 64, 96, "avg", 32),  # 256 x 28 x 28
    "inception_3b": Row(64, 64, 96, 64, 96, "avg", 64),  # 320 x 28 x 28
    "inception_3c": Row(None, 128, 160, 64, 96, "max", None),  # 576 x 14 x 14
    "inception_4a": Row(224, 64, 96, 96, 128, "avg", 128),  # 576 x 14 x 14
    "inception_4b": Row(192, 96, 128, 96, 128, "avg", 128),  # 576 x 14 x 14
    "inception_4c": Row(160, 128, 160, 128, 160, "avg", 128),  # 608; printed: 576
    "inception_4d": Row(96, 128, 192, 160, 192, "avg", 128),  # 608; printed: 576
    "inception_4e": Row(None, 128, 192, 192, 256, "max", None),  # 1056 x 7 x 7; printed: 1024
    "inception_5a": Row(352, 192, 320, 160, 224, "avg", 128),  # 1024 x 7 x 7
    "inception_5b": Row(352, 192, 320, 192, 224, "max", 128),  # 1024 x 7 x 7
}
SLIM = FIGURE_5 | {
    "inception_4c": replace(FIGURE_5["inception_4c"], pool_proj=96),
    "inception_4d": replace(FIGURE_5["inception_4d"], pool_proj=96),
}


@dataclass(frozen=True, slots=True)
class BNInceptionSpec:
    """What tells one network of this paper from another.

    Attributes:
        rows: The modules by name.
        batch_norm: In each convolution, between it and its activation; without it each has a
            bias: the "Inception" that section 4.2.2 compares with.
        activation: After each convolution; sigmoid is the last network of section 4.2.2.
    """

    rows: Mapping[str, Row]
    batch_norm: bool = True
    activation: Literal["relu", "sigmoid"] = "relu"

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        if self.activation not in ACTIVATIONS:
            raise InputError(f"activation is 'relu' or 'sigmoid', not {self.activation!r}")

    @property
    def layer(self) -> MakeLayer:
        """What every convolution is built by."""
        eps = 1e-3 if self.batch_norm else None  # the authors' TF-slim; the paper prints none
        return partial(ConvLayer, eps=eps, act=ACTIVATIONS[self.activation])


def make_module(in_channels: int, row: Row, layer: MakeLayer) -> Inception:
    """Build a module of Figure 5: (N, in_channels, H, W) -> (N, C', H / stride, W / stride)."""
    stride = 2 if row.conv1x1 is None else 1
    branches: dict[str, nn.Module] = {}
    if row.conv1x1 is not None:
        branches["conv1x1"] = layer(in_channels, row.conv1x1, 1)
    branches["conv3x3"] = make_chain(
        reduce=layer(in_channels, row.reduce3x3, 1),
        conv=layer(row.reduce3x3, row.conv3x3, 3, stride),
    )
    branches["double3x3"] = make_chain(
        reduce=layer(in_channels, row.reduce_double, 1),
        conv1=layer(row.reduce_double, row.double3x3, 3),
        conv2=layer(row.double3x3, row.double3x3, 3, stride),
    )
    # padded by 1, the windows of a stride of 2 stand where those of the convolutions do
    pool = (nn.AvgPool2d if row.pool == "avg" else nn.MaxPool2d)(3, stride, 1)
    branches["pool"] = make_chain(pool=pool)
    if row.pool_proj is not None:
        branches["pool"].add_module("proj", layer(in_channels, row.pool_proj, 1))
    return Inception(branches)


def draw_weights(net: nn.Module) -> None:
    """Draw fresh weights from N(0, 2 / fan_in), in place; biases are 0.

    So the authors' TF-slim draws where nothing else is said, cut at two standard deviations.
    """
    draw_layers(net, he_fan_in_, he_fan_in_)


class BNInception(nn.Module):
    """Stem, ten Inception modules, classifier: (N, in_channels, H, W) -> (N, num_classes)."""

    @drawn_once
    def __init__(
        self, spec: BNInceptionSpec, num_classes: int = 1000, in_channels: int = 3
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.least, _ = image_sides(1, WINDOWS)
        self.stem = make_chain(
            conv1=spec.layer(in_channels, 64, 7, 2),
            pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
            conv2=make_chain(reduce=spec.layer(64, 64, 1), conv=spec.layer(64, 192, 3)),
            pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
        )
        stages, channels = OrderedDict[str, nn.Module](), 192
        for name, row in spec.rows.items():
            stages[name] = make_module(channels, row, spec.layer)
            channels = row.out_channels(channels)
        self.stages = nn.Sequential(stages)
        self.head = Classifier(channels, num_classes)  # without dropout (section 4.2.1)
        self.cam_layer = f"stages.{list(spec.rows)[-1]}"

    def reset_parameters(self) -> None:
        """Draw fresh weights: N(0, 2 / fan_in), biases 0; the paper doesn't say."""
        draw_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images."""
        check_images(x, self.in_channels, (self.least, self.least), "stem.pool2")
        return self.head(self.stages(self.stem(x)))


ARCHITECTURE = Architecture(
    Paper(
        "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate "
        "Shift",
        "Sergey Ioffe, Christian Szegedy",
        2015,
        "https://arxiv.org/abs/1502.03167",
    ),
    BNInception,
    {
        "bn_inception": Variant(BNInceptionSpec(FIGURE_5)),
        "bn_inception_slim": Variant(
            BNInceptionSpec(SLIM),
            deviation="The pool projections of 4c and 4d have 96 maps, as in the authors' TF-slim "
            "(inception_v2): so the outputs that Figure 5 prints come out.",
        ),
    },
    deviations=(
        "4c, 4d and 4e have the filters that Figure 5 prints, which add up to 608, 608 and 1056 "
        "maps; it prints 576, 576 and 1024.",
        "conv1 is a dense 7x7 convolution; the appendix makes it separable, of depth multiplier 8.",
    ),
    layer_names={r"avgpool": r"head.pool"},
)
