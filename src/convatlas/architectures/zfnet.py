"""ZFNet: Visualizing and Understanding Convolutional Networks (Zeiler, Fergus; 2013, ECCV 2014).

https://arxiv.org/abs/1311.2901. The net: Figure 3 and section 3. Its training: section 3.1. Other
widths: Tables 2 and 3.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.fields import check_least
from convatlas.layers import (
    LocalResponseNorm,
    Window,
    check_images,
    check_map,
    draw_layers,
    drawn_once,
    image_sides,
    map_side,
)

CONV1: Window = (7, 2, 1)  # Figure 3: 110 x 110 maps of 224 x 224 pixels
CONV2: Window = (5, 2, 0)  # 26 x 26 maps of 55 x 55
CONV: Window = (3, 1, 1)
# a 3x3 pooling of stride 2 that rounds up, 55 x 55 of 110 x 110, leaves as many cells as this one
POOL: Window = (2, 2, 0)
WINDOWS = [CONV1, POOL, CONV2, POOL, CONV, CONV, CONV, POOL]


@dataclass(frozen=True, slots=True)
class ZFNetSpec:
    """What the paper varies.

    Attributes:
        maps: Of layers 3, 4 and 5 (Table 2: model (b) has 512, 1024, 512).
        units: Of layers 6 and 7 (Table 3: 2048, 4096 or 8192).
        input_size: Height and width of the images that layer 6 is built for, in pixels.
    """

    maps: tuple[int, int, int] = (384, 384, 256)
    units: int = 4096
    input_size: int = 224

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        check_least(self, image_sides(1, WINDOWS)[0], "input_size")
        check_least(self, 1, "units")
        if min(self.maps) < 1:
            raise InputError(f"layers 3, 4 and 5 have at least 1 map each, not {self.maps}")


class ZFNet(nn.Module):
    """Five convolutions, three fully connected layers: (N, C, H, W) -> (N, num_classes)."""

    cam_layer = "stages.relu5"

    @drawn_once
    def __init__(self, spec: ZFNetSpec, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.map_side = map_side(spec.input_size, WINDOWS)
        self.stages = make_stages(spec, in_channels)
        self.head = make_head(spec, spec.maps[-1] * self.map_side**2, num_classes)

    def reset_parameters(self) -> None:
        """Draw fresh weights: N(0, 0.01^2) and biases 0 (section 3.1)."""
        draw_layers(self, _draw, _draw)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images of the size that layer 6 was built for.

        Raises:
            InputError: The images would give fc6 maps of another size; with 224: 207 to 238.
        """
        least, most = image_sides(self.map_side, WINDOWS)
        check_images(x, self.in_channels, (least, least), "head.fc6")
        x = self.stages(x)
        side = (self.map_side, self.map_side)
        check_map(x, side, "head.fc6", f"{least} to {most} pixels a side")
        return self.head(x)


def make_stages(spec: ZFNetSpec, in_channels: int) -> nn.Sequential:
    """Build layers 1 to 5: rectified, then pooled, then normalized across maps (Figure 3)."""
    third, fourth, fifth = spec.maps
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Conv2d(in_channels, 96, *CONV1),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
            norm1=LocalResponseNorm(),
            conv2=nn.Conv2d(96, 256, *CONV2),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
            norm2=LocalResponseNorm(),
            conv3=nn.Conv2d(256, third, *CONV),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(third, fourth, *CONV),
            relu4=nn.ReLU(),
            conv5=nn.Conv2d(fourth, fifth, *CONV),
            relu5=nn.ReLU(),
            pool5=nn.MaxPool2d(3, 2, ceil_mode=True),
        )
    )


def make_head(spec: ZFNetSpec, features: int, num_classes: int) -> nn.Sequential:
    """Build layers 6 to 8: (N, maps, H, W) -> (N, num_classes)."""
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            flatten=nn.Flatten(),
            fc6=nn.Linear(features, spec.units),
            relu6=nn.ReLU(),
            drop6=nn.Dropout(0.5),  # section 3.1
            fc7=nn.Linear(spec.units, spec.units),
            relu7=nn.ReLU(),
            drop7=nn.Dropout(0.5),
            fc8=nn.Linear(spec.units, num_classes),
        )
    )


def _draw(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.normal_(layer.weight, 0.0, 0.01)


ARCHITECTURE = Architecture(
    Paper(
        "Visualizing and Understanding Convolutional Networks",
        "Matthew D. Zeiler, Rob Fergus",
        2013,
        "https://arxiv.org/abs/1311.2901",
    ),
    ZFNet,
    {
        "zfnet": Variant(ZFNetSpec()),
        "zfnet_b": Variant(ZFNetSpec(maps=(512, 1024, 512))),
    },
    deviations=(
        "The paper states no padding. conv1 is padded by 1, conv2 not at all, and poolings round "
        "up: the only reading that leads to the sizes of Figure 3.",
        "The constants of the contrast normalization are AlexNet's; the paper gives none.",
    ),
    layer_names={
        r"(conv\d|pool\d|norm\d)": r"stages.\1",
        r"(fc\d)": r"head.\1",
    },
    builds_on={
        "alexnet": "Its layers; what the visualization shows changes the first two (sections 3 "
        "and 4.1).",
    },
)
