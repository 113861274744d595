"""NiN: Network In Network (Lin, Chen, Yan; 2013, ICLR 2014).

https://arxiv.org/abs/1312.4400. The mlpconv layer: section 3.1. Global average pooling: section
3.2. The paper prints no sizes: those of CIFAR-10 and MNIST are from the authors' definitions
(mavenlin/cuda-convnet, NIN/), those of ImageNet from their model in the Caffe model zoo. Layers
have the authors' names; a "cccp" is a 1x1 convolution.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.fields import check_chance
from convatlas.layers import check_images, drawn_once, fill_bias_


@dataclass(frozen=True, slots=True)
class MlpConv:
    """A convolution, and two 1x1 convolutions that work as a small MLP at each place.

    Attributes:
        maps: Of the convolution.
        kernel: Its height and width, in pixels.
        cccp: Maps of both 1x1 convolutions; None: one map a class.
        stride: Of the convolution.
        padding: Of the convolution.
        std: Deviation of the three first weights.
    """

    maps: int
    kernel: int
    cccp: tuple[int, int | None]
    stride: int = 1
    padding: int = 0
    std: tuple[float, float, float] = (0.05, 0.05, 0.05)


CIFAR_10 = (
    MlpConv(192, 5, (160, 96), padding=2),  # 32 x 32
    MlpConv(192, 5, (192, 192), padding=2),  # 16 x 16
    MlpConv(192, 3, (192, None), padding=1),  # 8 x 8
)
MNIST = (
    MlpConv(96, 5, (64, 48), padding=2),  # 28 x 28
    MlpConv(128, 5, (96, 48), padding=2),  # 14 x 14
    MlpConv(128, 5, (96, None), padding=2),  # 7 x 7
)
IMAGENET = (
    MlpConv(96, 11, (96, 96), stride=4, std=(0.01, 0.05, 0.05)),  # 54 x 54
    MlpConv(256, 5, (256, 256), padding=2),  # 27 x 27
    MlpConv(384, 3, (384, 384), padding=1, std=(0.01, 0.05, 0.05)),  # 13 x 13
    MlpConv(1024, 3, (1024, None), padding=1, std=(0.05, 0.05, 0.01)),  # 6 x 6
)


@dataclass(frozen=True, slots=True)
class NiNSpec:
    """What tells one network of the authors from another.

    Attributes:
        rows: The mlpconv layers; a 3x3 max pooling of stride 2 follows each but the last.
        drop_after: The poolings, counted from 1, that dropout follows.
        dropout: Fraction of the values that it drops.
    """

    rows: tuple[MlpConv, ...]
    drop_after: tuple[int, ...] = (1, 2)
    dropout: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a dropout that leaves nothing, or that stands nowhere."""
        check_chance(self, "dropout")
        poolings = range(1, len(self.rows))
        if not set(self.drop_after) <= set(poolings):
            raise InputError(
                f"drop_after names poolings from 1 to {len(poolings)}, not {self.drop_after!r}"
            )

    @property
    def smallest_input(self) -> int:
        """Height and width for which the last pooling still has an output."""
        first = self.rows[0]
        # a 3x3/2 pooling that rounds up makes n pixels of 2n
        maps = 2 ** (len(self.rows) - 1)
        return (maps - 1) * first.stride + first.kernel - 2 * first.padding


def make_mlpconv(row: MlpConv, i: int, in_channels: int, num_classes: int) -> nn.Sequential:
    """Build mlpconv<i>: conv<i>, cccp<2i-1> and cccp<2i>, each with its ReLU."""
    layers, channels = OrderedDict[str, nn.Module](), row.maps
    conv = nn.Conv2d(in_channels, row.maps, row.kernel, row.stride, row.padding)
    layers[f"conv{i}"], layers[f"relu_conv{i}"] = conv, nn.ReLU()
    for j, maps in enumerate(row.cccp, start=2 * i - 1):
        out = num_classes if maps is None else maps
        layers[f"cccp{j}"], layers[f"relu_cccp{j}"] = nn.Conv2d(channels, out, 1), nn.ReLU()
        channels = out
    return nn.Sequential(layers)


class NiN(nn.Module):
    """mlpconv layers and poolings, one map a class, global average: (N, C, H, W) -> (N, classes).

    Nothing is fully connected: a class's score is the mean of its map (section 3.2).
    """

    @drawn_once
    def __init__(self, spec: NiNSpec, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        self.spec, self.in_channels = spec, in_channels
        self.smallest = spec.smallest_input
        stages, channels = OrderedDict[str, nn.Module](), in_channels
        for i, row in enumerate(spec.rows, start=1):
            stages[f"mlpconv{i}"] = make_mlpconv(row, i, channels, num_classes)
            if i < len(spec.rows):
                # cuda-convnet and Caffe round sizes up
                stages[f"pool{i}"] = nn.MaxPool2d(3, 2, ceil_mode=True)
            if i in spec.drop_after:
                stages[f"drop{i}"] = nn.Dropout(spec.dropout)
            channels = row.cccp[-1] or num_classes
        self.stages = nn.Sequential(stages)
        self.head = nn.Sequential(
            OrderedDict[str, nn.Module](gap=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
        )
        self.last_pool = f"stages.pool{len(spec.rows) - 1}"
        self.cam_layer = f"stages.mlpconv{len(spec.rows)}"  # one map a class

    def reset_parameters(self) -> None:
        """Draw fresh weights as the authors' definitions say: normal, biases 0."""
        for i, row in enumerate(self.spec.rows, start=1):
            mlpconv = self.stages.get_submodule(f"mlpconv{i}")
            convs = [module for module in mlpconv.children() if isinstance(module, nn.Conv2d)]
            for conv, std in zip(convs, row.std, strict=True):
                nn.init.normal_(conv.weight, 0.0, std)
                fill_bias_(conv)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images; none is below 0, for a ReLU ends each mlpconv."""
        check_images(x, self.in_channels, (self.smallest, self.smallest), self.last_pool)
        return self.head(self.stages(x))


ARCHITECTURE = Architecture(
    Paper(
        "Network In Network",
        "Min Lin, Qiang Chen, Shuicheng Yan",
        2013,
        "https://arxiv.org/abs/1312.4400",
    ),
    NiN,
    {
        "nin_cifar10": Variant(NiNSpec(CIFAR_10), input_shape=(3, 32, 32), num_classes=10),
        "nin_mnist": Variant(NiNSpec(MNIST), input_shape=(1, 28, 28), num_classes=10),
        "nin_imagenet": Variant(
            NiNSpec(IMAGENET, drop_after=(3,)),
            deviation="Not in the paper: the authors' model of 2014 in the Caffe model zoo.",
        ),
    },
    deviations=(
        "The paper prints no layer sizes; they are those of the authors' published definitions.",
    ),
    layer_names={
        r"conv(\d)": r"stages.mlpconv\1.conv\1",
        **{rf"(cccp[{2 * i - 1}{2 * i}])": rf"stages.mlpconv{i}.\1" for i in range(1, 5)},
        r"(mlpconv\d|pool\d)": r"stages.\1",
        r"gap": r"head.gap",
    },
    builds_on={
        "alexnet": "The convolutional layer with ReLU and dropout, whose linear filter it "
        "replaces (sections 2 and 3).",
    },
)
