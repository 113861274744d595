"""VGG: Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan, Zisserman).

https://arxiv.org/abs/1409.1556 (2014; ICLR 2015). Configurations A, A-LRN, B, C, D, E: Table 1.
Layers are named as in the authors' released models: conv3_1, relu3_1, pool3, fc6.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import InputError
from convatlas.fields import check_least
from convatlas.layers import (
    LocalResponseNorm,
    check_images,
    check_map,
    drawn_once,
    fill_bias_,
    glorot_uniform_,
    he_normal_,
)


@dataclass(frozen=True, slots=True)
class Conv:
    """An entry of Table 1, conv<kernel>-<maps>: stride 1, padded so that the size stays."""

    kernel: int
    maps: int


Block = tuple[Conv | Literal["LRN"], ...]  # what stands between two lines "maxpool" of Table 1


def _conv3(maps: int) -> Block:
    return (Conv(3, maps),)


def _conv1(maps: int) -> Block:
    return (Conv(1, maps),)


_LRN: Block = ("LRN",)

TABLE_1: dict[str, tuple[Block, ...]] = {
    "A": (_conv3(64), _conv3(128), 2 * _conv3(256), 2 * _conv3(512), 2 * _conv3(512)),
    "A-LRN": (_conv3(64) + _LRN, _conv3(128), 2 * _conv3(256), 2 * _conv3(512), 2 * _conv3(512)),
    "B": (2 * _conv3(64), 2 * _conv3(128), 2 * _conv3(256), 2 * _conv3(512), 2 * _conv3(512)),
    "C": (
        2 * _conv3(64),
        2 * _conv3(128),
        2 * _conv3(256) + _conv1(256),
        2 * _conv3(512) + _conv1(512),
        2 * _conv3(512) + _conv1(512),
    ),
    "D": (2 * _conv3(64), 2 * _conv3(128), 3 * _conv3(256), 3 * _conv3(512), 3 * _conv3(512)),
    "E": (2 * _conv3(64), 2 * _conv3(128), 4 * _conv3(256), 4 * _conv3(512), 4 * _conv3(512)),
}


@dataclass(frozen=True, slots=True)
class VGGSpec:
    """What tells one VGG network from another.

    Attributes:
        blocks: A column of Table 1; a max pooling follows each block.
        norm: What follows each convolution; the paper has nothing there.
        input_size: Height and width of the images that fc6 is built for, in pixels.
        init: How weights are drawn (section 3.1); biases are 0. "paper": N(0, 0.01^2), which
            reads the "10^-2 variance" of the text as the standard deviation. "glorot": uniform,
            by the formula of Glorot & Bengio 2010, with which the authors could train deep
            configurations from scratch. "he": not in the paper; He et al. 2015 (fan-out) for
            convolutions, N(0, 0.01^2) for fully connected layers.
    """

    blocks: tuple[Block, ...]
    norm: Literal["batch"] | None = None
    input_size: int = 224
    init: Literal["paper", "glorot", "he"] = "glorot"

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        if not all(map(_count_convs, self.blocks)) or not self.blocks:
            raise InputError(f"each block has at least one convolution; got {self.blocks}")
        check_least(self, self.stride, "input_size")  # the poolings leave a map of 1x1

    @property
    def stride(self) -> int:
        """How many pixels of the image one step in the last maps is."""
        return 2 ** len(self.blocks)


class VGG(nn.Module):
    """Blocks of convolutions, three fully connected layers: (N, C, H, W) -> (N, num_classes)."""

    @drawn_once
    def __init__(self, spec: VGGSpec, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.spec, self.in_channels = spec, in_channels
        self.map_size = spec.input_size // spec.stride
        self.stages, channels = make_stages(spec, in_channels)
        self.head = make_head(channels * self.map_size**2, num_classes)
        last = len(spec.blocks)
        self.cam_layer = f"stages.block{last}.relu{last}_{_count_convs(spec.blocks[-1])}"

    def reset_parameters(self) -> None:
        """Draw fresh weights as `spec.init` says; biases are 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                _draw(module, self.spec.init)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images of the size that fc6 was built for.

        Raises:
            InputError: The images would give fc6 maps of another size; with 224: 224 to 255.
        """
        least = self.map_size * self.spec.stride
        check_images(x, self.in_channels, (least, least), "head.fc6")
        x = self.stages(x)
        most = least + self.spec.stride - 1
        sizes = f"{least} to {most} pixels a side"
        check_map(x, (self.map_size, self.map_size), "head.fc6", sizes)
        return self.head(x)


def make_stages(spec: VGGSpec, in_channels: int) -> tuple[nn.Sequential, int]:
    """Build block1, block2, ...; give them and the number of maps that leave the last one."""
    stages, channels = OrderedDict[str, nn.Module](), in_channels
    for i, block in enumerate(spec.blocks, start=1):
        stages[f"block{i}"], channels = _make_block(i, block, channels, spec.norm)
    return nn.Sequential(stages), channels


def _make_block(
    i: int, block: Block, channels: int, norm: Literal["batch"] | None
) -> tuple[nn.Sequential, int]:
    layers, j = OrderedDict[str, nn.Module](), 0
    for entry in block:
        if isinstance(entry, Conv):
            j += 1
            padding = entry.kernel // 2
            layers[f"conv{i}_{j}"] = nn.Conv2d(channels, entry.maps, entry.kernel, 1, padding)
            if norm == "batch":
                layers[f"norm{i}_{j}"] = nn.BatchNorm2d(entry.maps)
            layers[f"relu{i}_{j}"] = nn.ReLU()
            channels = entry.maps
        else:
            layers[f"lrn{i}_{j}"] = LocalResponseNorm()  # AlexNet's constants (section 2.1)
    layers[f"pool{i}"] = nn.MaxPool2d(2, 2)
    return nn.Sequential(layers), channels


def make_head(features: int, num_classes: int) -> nn.Sequential:
    """Build fc6, fc7 and fc8, the same in all configurations (section 2.1)."""
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            flatten=nn.Flatten(),
            fc6=nn.Linear(features, 4096),
            relu6=nn.ReLU(),
            drop6=nn.Dropout(0.5),  # section 3.1
            fc7=nn.Linear(4096, 4096),
            relu7=nn.ReLU(),
            drop7=nn.Dropout(0.5),
            fc8=nn.Linear(4096, num_classes),
        )
    )


def init_from_vgg_a(net: VGG, a: VGG) -> list[str]:
    """Start a deeper configuration from a trained configuration A, in place (section 3.1).

    The paper copies the first four convolutions and the three fully connected layers of A. Its
    first four are conv1_1, conv2_1, conv3_1 and conv3_2; counted in the deeper net the first
    four would be conv1_1, conv1_2, conv2_1 and conv2_2, and A has nothing of the second's and
    the fourth's shape. So each layer goes to the layer of its own name.

    Args:
        net: The network to start; the layers that are not copied keep their weights.
        a: A network of configuration A.

    Returns:
        The dotted names of the layers that were copied: those of the seven that have the same
        shape in both networks.

    Raises:
        InputError: `a` is no configuration A.
    """
    if a.spec.blocks != TABLE_1["A"]:
        raise InputError("the second network must be a configuration A, such as vgg11")
    names = ["block1.conv1_1", "block2.conv2_1", "block3.conv3_1", "block3.conv3_2"]
    names = [f"stages.{name}" for name in names] + ["head.fc6", "head.fc7", "head.fc8"]
    copied = []
    for name in names:
        ours, theirs = net.get_submodule(name).state_dict(), a.get_submodule(name).state_dict()
        if all(ours[key].shape == theirs[key].shape for key in theirs):
            net.get_submodule(name).load_state_dict(theirs)
            copied.append(name)
    return copied


def _draw(layer: nn.Conv2d | nn.Linear, init: str) -> None:
    if init == "glorot":
        glorot_uniform_(layer)
    elif init == "he" and isinstance(layer, nn.Conv2d):
        he_normal_(layer)
    else:
        nn.init.normal_(layer.weight, 0.0, 0.01)
    fill_bias_(layer)


def _count_convs(block: Block) -> int:
    return sum(isinstance(entry, Conv) for entry in block)


def _batch_norm(column: str) -> Variant[VGGSpec]:
    deviation = (
        "Batch norm between each convolution and its ReLU, which is a year younger than the "
        "paper; the initialization is that of He et al. 2015."
    )
    return Variant(VGGSpec(TABLE_1[column], norm="batch", init="he"), deviation=deviation)


ARCHITECTURE = Architecture(
    Paper(
        "Very Deep Convolutional Networks for Large-Scale Image Recognition",
        "Karen Simonyan, Andrew Zisserman",
        2014,
        "https://arxiv.org/abs/1409.1556",
    ),
    VGG,
    {
        "vgg11": Variant(VGGSpec(TABLE_1["A"], init="paper")),
        "vgg11_lrn": Variant(VGGSpec(TABLE_1["A-LRN"], init="paper")),
        "vgg13": Variant(VGGSpec(TABLE_1["B"])),
        "vgg16_1x1": Variant(VGGSpec(TABLE_1["C"])),
        "vgg16": Variant(VGGSpec(TABLE_1["D"])),
        "vgg19": Variant(VGGSpec(TABLE_1["E"])),
        "vgg11_bn": _batch_norm("A"),
        "vgg13_bn": _batch_norm("B"),
        "vgg16_bn": _batch_norm("D"),
        "vgg19_bn": _batch_norm("E"),
    },
    deviations=(
        "A and A-LRN are drawn from N(0, 0.01^2): the paper's variance of 10^-2 is read as the "
        "standard deviation. B to E are drawn by Glorot's formula, which section 3.1 allows "
        "in place of starting from a trained A (`init_from_vgg_a`).",
    ),
    layer_names={
        r"block(\d)_conv(\d)": r"stages.block\1.conv\1_\2",
        r"block(\d)_pool": r"stages.block\1.pool\1",
        r"fc1": r"head.fc6",
        r"fc2": r"head.fc7",
        r"predictions": r"head.fc8",
    },
    builds_on={
        "alexnet": "The layers, the fully connected head and the training; only the depth is new "
        "(section 2).",
    },
)
