"""Small networks for small images that several studies take, made of the papers' own layers."""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from convatlas.architectures.alexnet import AlexNetSpec, Row, make_layers
from convatlas.architectures.nin import MlpConv
from convatlas.architectures.vgg import Block, Conv, VGGSpec, make_stages
from convatlas.catalog import build
from convatlas.layers import LocalResponseNorm, draw_layers, fill_bias_, he_fan_in_, make_chain
from convatlas.recipe import SGD, Optimizer, Recipe
from convatlas.schedules import Cosine, Warmup
from convatlas.studies.images import Subset
from convatlas.studies.lab import Lab, Trained, training_case
from convatlas.studies.study import Case

CLASSES, CHANNELS = 10, 3
SIDE = 16  # pixels, half of CIFAR-10's
WHERE = "our own: the paper's optimizer, for minutes"
_MOMENTUM = SGD(0.02, momentum=0.9, weight_decay=5e-4)
NORMED = SGD(0.05, momentum=0.9, weight_decay=5e-4)  # of networks with batch norm
# the CIFAR-10 network of AlexNet's sections 3.1 and 3.3 has four layers too, but the paper prints
# no sizes; 15, 7 and 3 pixels a side are odd, so that poolings of 3x3 and of 2x2 give equal maps
FOUR_LAYERS = {
    "conv1": Row(32, 4, after=("relu", "pool")),  # 15 x 15, pooled to 7 x 7
    "conv2": Row(32, 5, after=("relu", "pool")),  # 7 x 7, to 3 x 3
    "conv3": Row(64, 3),  # 3 x 3
}
VGG_BLOCKS = ((Conv(3, 24),), (Conv(3, 48),), (Conv(3, 64),))
VGG_UNITS = 128  # of fc6


def he_stds(*inputs: int) -> tuple[float, float, float]:
    """Give the deviations of He et al. 2015 for layers whose units have so many inputs.

    The authors' 0.05 suits their widths: in thin layers the signal would die out.
    """
    first, second, third = (math.sqrt(2 / count) for count in inputs)
    return first, second, third


NIN_ROWS = (
    MlpConv(24, 5, (24, 16), padding=2, std=he_stds(75, 24, 24)),  # 16 x 16, pooled to 8 x 8
    MlpConv(32, 5, (32, 24), padding=2, std=he_stds(400, 32, 32)),  # 8 x 8, to 4 x 4
    MlpConv(48, 3, (32, None), padding=1, std=he_stds(216, 48, 32)),  # 4 x 4
)


def small_recipe(
    epochs: int, optimizer: Optimizer = _MOMENTUM, *, where: str = WHERE, **changes: Any
) -> Recipe:
    """Give steps of 32 images; the rate rises for an epoch, then falls by a cosine."""
    schedule = Warmup(1, Cosine(epochs - 1))
    return Recipe(where, 32, epochs, optimizer, schedule, **changes)


def small_images(each: int, side: int = SIDE) -> Subset:
    """Give `each` training images of a class of CIFAR-10, and all test images."""
    return Subset("cifar10", each, 20, None, side)


def imagenet_case(
    name: str,
    network: str,
    recipe: Recipe,
    *,
    side: int = 224,
    also: Callable[[Trained, Lab], Mapping[str, Any]] = lambda *_: {},
    **overrides: Any,
) -> Case:
    """Give the case of a network of the catalog, trained on ImageNet as its paper trained it."""
    make = partial(build, network, **overrides)
    return training_case(name, make, recipe, imagenet(side), also=also)


def imagenet(side: int = 224) -> Subset:
    """Give all of ImageNet, for networks that take images of `side` pixels."""
    return Subset("imagenet", None, None, None, side)


def four_layers(*, pool: int = 3, norm: Callable[[], nn.Module] | None = None) -> nn.Module:
    """Build three convolutions and a classifier, AlexNet's small form: (N, 3, 16, 16) -> (N, 10).

    Args:
        pool: Height and width of the max poolings, whose stride is 2.
        norm: Makes what follows the ReLUs before the poolings.
    """
    layers = OrderedDict[str, nn.Module]()
    spec = AlexNetSpec(FOUR_LAYERS, groups=1, input_size=None, conv1_padding=1)
    for name, layer in make_layers(spec, CHANNELS).items():
        if isinstance(layer, nn.MaxPool2d):
            if norm is not None:
                layers[name.replace("pool", "norm")] = norm()
            layer = nn.MaxPool2d(pool, 2)
        layers[name] = layer
    layers["flatten"] = nn.Flatten()
    layers["fc4"] = nn.Linear(FOUR_LAYERS["conv3"].maps * 3 * 3, CLASSES)
    net = nn.Sequential(layers)
    draw_layers(net, he_fan_in_)
    return net


def response_norm(alpha: float) -> Callable[[], nn.Module]:
    """Give what makes AlexNet's normalization with another alpha."""
    return partial(LocalResponseNorm, alpha=alpha)


def small_nin(rows: Sequence[MlpConv] = NIN_ROWS, **changes: Any) -> nn.Module:
    """Build Network In Network of a sixth of the maps: (N, 3, 16, 16) -> (N, 10)."""
    net = build("nin_cifar10", rows=tuple(rows), **changes)
    draw_class_maps_(net.get_submodule(f"stages.mlpconv{len(rows)}.cccp{2 * len(rows)}"))
    return net


def draw_class_maps_(conv: nn.Module) -> None:
    """Draw the layer of the class maps so that each map begins above 0.

    With few maps below it, one of them often begins below 0 for every image: its ReLU lets no
    gradient through, and the class is never learnt.
    """
    nn.init.normal_(conv.get_parameter("weight"), 0.0, 0.05)  # the authors' deviation
    fill_bias_(conv, 0.5)


def small_vgg(blocks: tuple[Block, ...] = VGG_BLOCKS) -> nn.Module:
    """Build blocks of VGG and two fully connected layers: (N, 3, 16, 16) -> (N, 10)."""
    spec = VGGSpec(blocks, input_size=SIDE)
    stages, channels = make_stages(spec, CHANNELS)
    features = channels * (SIDE // spec.stride) ** 2
    head = make_chain(
        flatten=nn.Flatten(),
        fc6=nn.Linear(features, VGG_UNITS),
        relu6=nn.ReLU(),
        drop6=nn.Dropout(0.5),
        fc7=nn.Linear(VGG_UNITS, CLASSES),
    )
    net = make_chain(stages=stages, head=head)
    draw_layers(net, he_fan_in_)
    return net
