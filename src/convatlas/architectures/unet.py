"""U-Net: Convolutional Networks for Biomedical Image Segmentation.

Ronneberger, Fischer, Brox; 2015: https://arxiv.org/abs/1505.04597 (MICCAI 2015). The net: Figure 1
and section 2. Its first weights: section 3. Its dropout: section 3.1. What the paper leaves open
is as in the authors' released model, phseg_v5.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.layers import check_images, fill_bias_

POOLINGS = 4
STEP = 2**POOLINGS  # legal sizes are this many pixels apart
BORDER = 92  # pixels at each side of the input that the output of unpadded convolutions lacks


@dataclass(frozen=True, slots=True)
class UNetSpec:
    """What tells one U-Net from another.

    Attributes:
        width: Maps of the first level; each of the four poolings doubles them.
        padded: Convolutions keep the size: the output is as large as the image. Otherwise they
            take only what is inside it, and skips are cropped (Figure 1).
        last_up: Maps of the last up-convolution; None: half of what enters it, as in the others.
        up_relu: A ReLU follows each up-convolution; the paper names none.
        skip_first: Concatenate the skip before the upsampled maps, as Figure 1 draws them; the
            released model has them the other way round, and loading weights depends on it.
        dropout: At the end of the contracting path: after the last two levels.
    """

    width: int = 64
    padded: bool = False
    last_up: int | None = None
    up_relu: bool = False
    skip_first: bool = False
    dropout: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        for name in ("width", "last_up"):
            value = getattr(self, name)
            if value is None and name == "last_up":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name} must be a whole number of at least 1, not {value!r}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be at least 0 and less than 1, not {self.dropout!r}")

    @property
    def widths(self) -> list[int]:
        """Maps of each level of the contracting path, from the image down."""
        return [self.width * 2**level for level in range(POOLINGS + 1)]

    @property
    def least(self) -> int:
        """Least legal height and width of an image, in pixels; the others are `STEP` apart."""
        return STEP if self.padded else 188  # 16 b + 60, the lowest level taking b >= 8

    def output_size(self, size: int) -> int:
        """Give the height or width of the output for that of an image, in pixels."""
        return size if self.padded else size - 2 * BORDER

    def nearest_sizes(self, size: int) -> list[int]:
        """Give the legal height or width itself, or else the one below and the one above."""
        if size <= self.least:
            return [self.least]
        below = size - (size - self.least) % STEP
        return [below] if below == size else [below, below + STEP]


class Crop(nn.Module):
    """Cut the centre out of a map, as large as another one (section 2)."""

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, h, w), the height and width of `like`."""
        height, width = like.shape[2:]
        top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
        return x[:, :, top : top + height, left : left + width]


def make_level(
    in_channels: int, out_channels: int, padding: int, dropout: float | None = None
) -> nn.Sequential:
    """Build two 3x3 convolutions, each with a ReLU: one level of one path."""
    level = OrderedDict[str, nn.Module](
        conv1=nn.Conv2d(in_channels, out_channels, 3, padding=padding),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(out_channels, out_channels, 3, padding=padding),
        relu2=nn.ReLU(),
    )
    if dropout is not None:
        level["dropout"] = nn.Dropout(dropout)
    return nn.Sequential(level)


def make_contracting(spec: UNetSpec, in_channels: int) -> nn.ModuleDict:
    """Build enc1, pool1, enc2, ..., enc5: the left side of Figure 1."""
    path = nn.ModuleDict()
    for level, width in enumerate(spec.widths, start=1):
        dropout = spec.dropout if level >= POOLINGS else None
        path[f"enc{level}"] = make_level(in_channels, width, int(spec.padded), dropout)
        if level <= POOLINGS:
            path[f"pool{level}"] = nn.MaxPool2d(2)
        in_channels = width
    return path


def make_expansive(spec: UNetSpec) -> nn.ModuleDict:
    """Build up1, skip1, dec1, up2, ...: the right side of Figure 1, from the lowest level up."""
    path, below = nn.ModuleDict(), spec.widths[-1]
    for level, width in enumerate(reversed(spec.widths[:-1]), start=1):
        maps = spec.last_up if level == POOLINGS and spec.last_up is not None else width
        up = nn.ConvTranspose2d(below, maps, 2, 2)
        path[f"up{level}"] = nn.Sequential(up, nn.ReLU()) if spec.up_relu else up
        path[f"skip{level}"] = Crop()
        path[f"dec{level}"] = make_level(maps + width, width, int(spec.padded))
        below = width
    return path


class UNet(nn.Module):
    """Contracting path, expansive path, a 1x1 convolution: one score a class and pixel.

    (N, in_channels, H, W) -> (N, num_classes, H - 184, W - 184), or of H x W if padded.
    """

    cam_layer = f"expansive.dec{POOLINGS}"

    def __init__(self, spec: UNetSpec, num_classes: int = 2, in_channels: int = 1) -> None:
        super().__init__()
        self.spec, self.in_channels = spec, in_channels
        self.contracting = make_contracting(spec, in_channels)
        self.expansive = make_expansive(spec)
        out = nn.Conv2d(spec.width, num_classes, 1)
        self.head = nn.Sequential(OrderedDict[str, nn.Module](out=out))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw fresh weights: N(0, 2 / N), N being the inputs of one unit (section 3); biases 0.

        A unit of an up-convolution has one input a map, for its windows don't overlap.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                transposed = isinstance(module, nn.ConvTranspose2d)
                inputs = module.in_channels if transposed else module.weight[0].numel()
                nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / inputs))
                fill_bias_(module)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of each pixel; the softmax over classes belongs to the loss.

        Raises:
            InputError: The height or width is none for which every pooling sees an even size;
                the message gives the nearest that are.
        """
        self._check(x)
        skips = []
        for level in range(1, POOLINGS + 1):
            x = self.contracting[f"enc{level}"](x)
            skips.append(x)
            x = self.contracting[f"pool{level}"](x)
        x = self.contracting[f"enc{POOLINGS + 1}"](x)
        for level in range(1, POOLINGS + 1):
            up = self.expansive[f"up{level}"](x)
            skip = self.expansive[f"skip{level}"](skips.pop(), up)
            maps = (skip, up) if self.spec.skip_first else (up, skip)
            x = self.expansive[f"dec{level}"](torch.cat(maps, dim=1))
        return self.head(x)

    def _check(self, x: Tensor) -> None:
        layer = "contracting.pool4" if self.spec.padded else "expansive.dec2.conv2"
        check_images(x, self.in_channels, (self.spec.least, self.spec.least), layer, "U-Net")
        for side, size in zip(("height", "width"), x.shape[2:], strict=True):
            near = self.spec.nearest_sizes(size)
            if size not in near:
                raise InputError(
                    f"U-Net needs an even size before each pooling; got {x.shape[2]}x{x.shape[3]}: "
                    f"a {side} of {size} pixels is none, the nearest are {near[0]} and {near[1]}"
                )


_PAPER = UNetSpec()

ARCHITECTURE = Architecture(
    Paper(
        "U-Net: Convolutional Networks for Biomedical Image Segmentation",
        "Olaf Ronneberger, Philipp Fischer, Thomas Brox",
        2015,
        "https://arxiv.org/abs/1505.04597",
    ),
    UNet,
    {
        "unet": Variant(_PAPER, input_shape=(1, 572, 572), num_classes=2),
        "unet_padded": Variant(
            replace(_PAPER, padded=True),
            input_shape=(1, 512, 512),
            num_classes=2,
            deviation="Convolutions are padded by 1: the output is as large as the image, and "
            "skips are not cropped.",
        ),
        "unet_release": Variant(
            replace(_PAPER, last_up=128, up_relu=True),
            input_shape=(1, 572, 572),
            num_classes=2,
            deviation="The authors' released model: a ReLU after each up-convolution, and a last "
            "up-convolution that keeps its 128 maps.",
        ),
    },
    deviations=(
        "Dropout of 0.5 stands after both ReLUs of the last two levels of the contracting path, "
        "as in the released model, so the deepest skip is dropped too; section 3.1 says only "
        '"at the end of the contracting path".',
        "The upsampled maps come before the skip, as in the released model; Figure 1 draws the "
        "skip first.",
    ),
    builds_on={
        "vgg": "Pairs of 3x3 convolutions between 2x2 poolings, with maps that double (section "
        "2); it comes by way of the fully convolutional networks of Long et al. 2015, which "
        "are not in the atlas.",
    },
)
