"""A small GoogLeNet that two studies take: modules of the paper behind one convolution."""

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn

from convatlas.architectures.googlenet import (
    SIDE_WEIGHT,
    MakeModule,
    Row,
    Side,
    make_module,
)
from convatlas.layers import ConvLayer, caffe_xavier_, fill_bias_, make_chain
from convatlas.studies.small_nets import CHANNELS, CLASSES

STEM = 32  # maps of the first convolution
SIDE_POOL, SIDE_MAPS, SIDE_UNITS = 4, 16, 64  # of a side classifier: a seventh of the paper's


class SmallInception(nn.Module):
    """A convolution, Inception modules, an average, a classifier: (N, 3, 16, 16) -> (N, 10).

    Args:
        rows: The modules by name, as in the paper's Table 1; None: 3x3 max pooling with stride 2.
        module: Builds a module of a row.
        sides: Modules that a side classifier branches off behind.
        dropout: Before the classifier.
    """

    def __init__(
        self,
        rows: Mapping[str, Row | None],
        module: MakeModule = make_module,
        sides: tuple[str, ...] = (),
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.stem = make_chain(conv1=ConvLayer(CHANNELS, STEM, 3), pool1=_pool())
        stages, channels = OrderedDict[str, nn.Module](), STEM
        branches = dict[str, nn.Module]()
        for name, row in rows.items():
            if row is None:
                stages[name] = _pool()
            else:
                stages[name], channels = module(channels, row, ConvLayer)
            if name in sides:
                branches[name] = _make_side(channels)
        self.stages = nn.Sequential(stages)
        self.head = make_chain(
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(dropout),
            fc=nn.Linear(channels, CLASSES),
        )
        self.sides = nn.ModuleDict(branches)  # last, so that the rest is drawn alike without them
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw fresh weights as the paper's replica does."""
        for name, layer in self.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                caffe_xavier_(layer)
                fill_bias_(layer, 0.0 if name.endswith((".fc", ".fc2")) else 0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images."""
        return self.head(self.stages(self.stem(x)))

    def forward_with_sides(self, x: Tensor) -> tuple[Tensor, tuple[Side, ...]]:
        """Give the logits, and those of the side classifiers with their weights in the loss."""
        x, found = self.stem(x), []
        for name, stage in self.stages.named_children():
            x = stage(x)
            if name in self.sides:
                found.append(Side(self.sides[name](x), SIDE_WEIGHT))
        return self.head(x), tuple(found)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _make_side(channels: int) -> nn.Module:
    """Build what branches off while training (section 5)."""
    return make_chain(
        pool=nn.AdaptiveAvgPool2d(SIDE_POOL),
        conv=ConvLayer(channels, SIDE_MAPS, 1),
        flatten=nn.Flatten(),
        fc1=nn.Linear(SIDE_MAPS * SIDE_POOL**2, SIDE_UNITS),
        act=nn.ReLU(),
        dropout=nn.Dropout(0.7),
        fc2=nn.Linear(SIDE_UNITS, CLASSES),
    )
