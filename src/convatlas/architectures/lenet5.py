"""LeNet-5: Gradient-Based Learning Applied to Document Recognition (LeCun et al.; 1998).

https://doi.org/10.1109/5.726791. The net: section II-B, Figure 2 and Table I. Its outputs: Figure 3
and equation 7. Its nonlinearity and first weights: appendix A.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.card import Architecture, Paper, Variant
from convatlas.errors import unknown
from convatlas.layers import (
    CODE_LENGTH,
    caffe_xavier_,
    check_images,
    check_map,
    class_codes,
    fill_bias_,
    make_chain,
)

TABLE_1 = (  # a row for each map of S2; marks: the maps 0 to 15 of C3 that it feeds
    "X . . . X X X . . X X X X . X X",
    "X X . . . X X X . . X X X X . X",
    "X X X . . . X X X . . X . X X X",
    ". X X X . . X X X X . . X . X X",
    ". . X X X . . X X X X . X X . X",
    ". . . X X X . . X X X X . X X X",
)


class Squash(nn.Module):
    """A tanh(S x) with f(1) = 1 and f(-1) = -1 (equation 6, appendix A); keeps the shape."""

    amplitude, slope = 1.7159, 2 / 3

    def forward(self, x: Tensor) -> Tensor:
        """Squash each value into +-1.7159."""
        return self.amplitude * torch.tanh(self.slope * x)


class Subsampling(nn.Module):
    """Sum 2x2 values, times a coefficient, plus a bias: (N, C, H, W) -> (N, C, H/2, W/2).

    The layers S2 and S4 of section II-B: one coefficient and one bias for each map.
    """

    fan_in = 4  # inputs of a unit
    kernel_size = 2
    stride = 2
    padding = 0

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Halve the height and the width, an odd last row or column dropped."""
        total = 4 * nn.functional.avg_pool2d(x, 2)
        return total * self.coefficient.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class TableConv(nn.Module):
    """Convolution in which each map sees only the maps that a table marks.

    (N, rows of the table, H, W) -> (N, columns of the table, H - kernel + 1, W - kernel + 1).
    Neighbouring columns with equally many marks are one grouped convolution over the marked
    maps: no weight exists that the table does not mark.
    """

    def __init__(self, table: Sequence[str], kernel: int) -> None:
        super().__init__()
        columns = zip(*(row.split() for row in table), strict=True)
        sources = [tuple(i for i, mark in enumerate(column) if mark == "X") for column in columns]
        self.units = nn.ModuleDict()  # by the numbers of the first and the last map
        self.sources: list[list[int]] = []  # of each of `units`, group after group
        start = 0
        for count, run in itertools.groupby(sources, key=len):
            group = list(run)
            stop = start + len(group)
            conv = nn.Conv2d(count * len(group), len(group), kernel, groups=len(group))
            self.units[f"{start}_{stop - 1}"] = conv
            self.sources.append([source for inputs in group for source in inputs])
            start = stop

    def forward(self, x: Tensor) -> Tensor:
        """Convolve the marked maps and put the results side by side."""
        maps = x.unbind(1)
        gathered = (torch.stack([maps[i] for i in sources], 1) for sources in self.sources)
        convs = self.units.values()
        return torch.cat([conv(y) for conv, y in zip(convs, gathered, strict=True)], 1)


class RBF(nn.Module):
    """Minus the squared distance to the code of each class (equation 7): (N, 84) -> (N, classes).

    The paper's output is the distance itself, whose least value wins; its negative can be read
    as any other logits.
    """

    fan_in = CODE_LENGTH

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.codes: Tensor
        self.register_buffer("codes", torch.empty(num_classes, CODE_LENGTH))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Write the codes afresh, such as after `to_empty`."""
        self.codes.copy_(class_codes(len(self.codes)))

    def forward(self, x: Tensor) -> Tensor:
        """Compare each row with each code."""
        return -(x.unsqueeze(1) - self.codes).square().sum(2)


def lecun_uniform_(module: nn.Module, power: float = 1.0) -> None:
    """Draw from +-2.4 / F, F being the inputs of a unit (appendix A); the biases likewise.

    Args:
        module: A layer with parameters.
        power: Of F.
    """
    weight = getattr(module, "weight", None)
    fan_in = Subsampling.fan_in if weight is None else weight[0].numel()
    bound = 2.4 / fan_in**power
    for parameter in module.parameters(recurse=False):
        nn.init.uniform_(parameter, -bound, bound)


def draw_as_caffe(layer: nn.Conv2d | nn.Linear) -> None:
    """Draw weights by Caffe's `xavier` filler; biases are 0."""
    caffe_xavier_(layer)
    fill_bias_(layer)


def draw_as_torch(layer: nn.Conv2d | nn.Linear) -> None:
    """Draw as torch does when it builds a layer, which is what most ports of LeNet-5 use."""
    layer.reset_parameters()


Act = Callable[[], nn.Module]
ACTIVATIONS: dict[str, Act] = {
    "squash": Squash,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


INITS: dict[str, Callable[[Any], None]] = {
    "paper": lecun_uniform_,
    "paper_root": partial(lecun_uniform_, power=0.5),
    "caffe": draw_as_caffe,
    "torch": draw_as_torch,
}


@dataclass(frozen=True, slots=True)
class LeNet5Spec:
    """What tells one network of this family from another."""

    stages: Callable[[int, Act], nn.Sequential]  # (in_channels, act) -> the convolutional layers
    head: Callable[[int, Act], nn.Sequential]  # (num_classes, act) -> the layers after them
    act: str = "squash"  # a key of ACTIVATIONS
    init: str = "paper"  # a key of INITS
    image_size: int = 32  # least height and width
    map_size: int = 1  # height and width of the maps that reach the head
    cam_layer: str = "stages.act3"  # the last convolution whose maps have a height and a width


def lenet5_stages(
    in_channels: int, act: Act, *, table: bool = True, trained_pools: bool = True
) -> nn.Sequential:
    """Chain C1 to C5 as Figure 2 draws them: 6, 16 and 120 maps of 5x5 kernels.

    The ports have no `table`, so that every map of C3 sees all six, and no `trained_pools`.
    """
    return make_chain(
        C1=nn.Conv2d(in_channels, 6, 5),  # 28 x 28
        act1=act(),
        S2=Subsampling(6) if trained_pools else nn.AvgPool2d(2),  # 14 x 14
        act2=act() if trained_pools else None,
        C3=TableConv(TABLE_1, 5) if table else nn.Conv2d(6, 16, 5),  # 10 x 10
        act3=act(),
        S4=Subsampling(16) if trained_pools else nn.AvgPool2d(2),  # 5 x 5
        act4=act() if trained_pools else None,
        C5=nn.Conv2d(16, 120, 5),  # 1 x 1; a convolution, as larger images have larger maps
        act5=act(),
    )


def lenet5_head(
    num_classes: int, act: Act, *, output: Callable[[int], nn.Module] = RBF
) -> nn.Sequential:
    """Chain F6, whose 84 units draw a 7x12 bitmap, and the output that compares it."""
    return make_chain(
        flatten=nn.Flatten(),
        F6=nn.Linear(120, CODE_LENGTH),
        act6=act(),
        OUTPUT=output(num_classes),
    )


def caffe_stages(in_channels: int, _act: Act) -> nn.Sequential:
    """Chain Caffe's convolutions, by Caffe's names: no nonlinearity but the maximum."""
    return make_chain(
        conv1=nn.Conv2d(in_channels, 20, 5),  # 24 x 24
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(20, 50, 5),  # 8 x 8
        pool2=nn.MaxPool2d(2),
    )


def caffe_head(num_classes: int, act: Act) -> nn.Sequential:
    """Chain Caffe's two inner products."""
    return make_chain(
        flatten=nn.Flatten(),
        ip1=nn.Linear(50 * 4 * 4, 500),
        relu1=act(),
        ip2=nn.Linear(500, num_classes),
    )


class LeNet5(nn.Module):
    """Convolutions, F6, output: (N, in_channels, 32, 32) -> (N, num_classes)."""

    def __init__(self, spec: LeNet5Spec, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        for what, name, known in (
            ("activation", spec.act, ACTIVATIONS),
            ("init", spec.init, INITS),
        ):
            if name not in known:
                raise unknown(what, name, known)
        act = ACTIVATIONS[spec.act]
        self.spec, self.in_channels, self.cam_layer = spec, in_channels, spec.cam_layer
        self.stages = spec.stages(in_channels, act)
        self.head = spec.head(num_classes, act)
        self._first = f"head.{[name for name, _ in self.head.named_children()][1]}"
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw fresh weights, and write the codes of the classes."""
        for module in self.modules():
            if isinstance(module, RBF):
                module.reset_parameters()
            elif any(True for _ in module.parameters(recurse=False)):
                INITS[self.spec.init](module)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images; `lenet5`: minus the paper's distances."""
        size, side = self.spec.image_size, self.spec.map_size
        check_images(x, self.in_channels, (size, size), self._first, "LeNet-5")
        maps = self.stages(x)
        # two poolings that round down give the same maps for four sizes in a row
        check_map(maps, (side, side), self._first, f"{size} to {size + 3} pixels a side")
        return self.head(maps)


_READINGS = (  # of what the paper leaves open
    "The logits are minus the distances that the paper calls the outputs. The bitmaps of the "
    "classes are our own drawing, as Figure 3 is a picture; more than ten classes have random "
    "codes at least 20 signs apart. Coefficients and biases are drawn from the weights' range, "
    "+-2.4 / inputs: appendix A speaks of weights only. j of equation 9 is 10: the paper prints "
    "no value."
)
_MODERN = partial(lenet5_stages, table=False, trained_pools=False)
_LINEAR = partial(lenet5_head, output=partial(nn.Linear, CODE_LENGTH))

ARCHITECTURE = Architecture(
    Paper(
        "Gradient-Based Learning Applied to Document Recognition",
        "Yann LeCun, Léon Bottou, Yoshua Bengio, Patrick Haffner",
        1998,
        "https://doi.org/10.1109/5.726791",
    ),
    LeNet5,
    {
        "lenet5": Variant(LeNet5Spec(lenet5_stages, lenet5_head), (1, 32, 32), 10, _READINGS),
        "lenet5_dense_c3": Variant(
            LeNet5Spec(partial(lenet5_stages, table=False), lenet5_head),
            (1, 32, 32),
            10,
            f"Every map of C3 sees all six maps of S2: no Table I. {_READINGS}",
        ),
        "lenet5_modern": Variant(
            LeNet5Spec(_MODERN, _LINEAR, act="relu", init="torch"),
            (1, 32, 32),
            10,
            "The common port: ReLU, average pooling without weights, no Table I, a linear "
            "output, torch's own first weights.",
        ),
        "lenet_caffe": Variant(
            LeNet5Spec(
                caffe_stages,
                caffe_head,
                act="relu",
                init="caffe",
                image_size=28,
                map_size=4,
                cam_layer="stages.conv2",
            ),
            (1, 28, 28),
            10,
            "Caffe's MNIST example: 20 and 50 maps, maximum pooling, 500 units, one ReLU.",
        ),
    },
)
