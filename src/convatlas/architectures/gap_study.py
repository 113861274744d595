"""The networks of a lecture's study of shifted digits: flattening, and global average pooling.

Giacomo Boracchi 2023, "Famous CNN architectures and CNN visualization". Both networks are printed
as Keras summaries; layers have the names of those. What is not printed is our choice: see
`ARCHITECTURE.deviations`.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from convatlas.card import Architecture, Paper, Variant
from convatlas.fields import check_chance, check_least
from convatlas.layers import Window, check_images, check_map, draw_layers, image_sides, map_side

CONV: Window = (3, 1, 0)
POOL: Window = (2, 2, 0)
CONVS = {"conv1": 32, "conv2": 64, "conv3": 128}
UNITS = 64  # of the hidden layer `classifier`


@dataclass(frozen=True, slots=True)
class GapStudySpec:
    """What tells the two networks apart.

    Attributes:
        head: What joins the last maps to the classifier: "flatten" pools them once more and
            keeps every place, "gap" averages each map over all places.
        dropout: Fraction of the values dropped before the hidden and before the last layer.
        input_size: Height and width of the images that "flatten" is built for, in pixels.
    """

    head: Literal["flatten", "gap"]
    dropout: float = 0.3
    input_size: int = 64

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        check_chance(self, "dropout")
        check_least(self, image_sides(1, self.windows())[0], "input_size")

    def windows(self) -> list[Window]:
        """List kernel, stride and padding of each convolution and pooling."""
        pools = len(CONVS) if self.head == "flatten" else len(CONVS) - 1
        return ([CONV, POOL] * len(CONVS))[: len(CONVS) + pools]


class GapStudyNet(nn.Module):
    """Three convolutions, a hidden layer, a classifier: (N, C, H, W) -> (N, num_classes)."""

    cam_layer = "stages.relu3"

    def __init__(self, spec: GapStudySpec, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.spec, self.in_channels = spec, in_channels
        self.stages, channels = make_stages(spec, in_channels)
        self.map_side = map_side(spec.input_size, spec.windows())
        if spec.head == "flatten":
            channels *= self.map_side**2
        self.head = make_head(spec, channels, num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw fresh weights as Keras does by default: Glorot's uniform, biases 0."""
        draw_layers(self, _draw, _draw)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits of a batch of images.

        Raises:
            InputError: `head="flatten"` was built for images of another size.
        """
        flatten = self.spec.head == "flatten"
        least, most = image_sides(self.map_side if flatten else 1, self.spec.windows())
        layer = "head.classifier" if flatten else "stages.conv3"
        check_images(x, self.in_channels, (least, least), layer)
        x = self.stages(x)
        if flatten:
            side = (self.map_side, self.map_side)
            check_map(x, side, layer, f"{least} to {most} pixels a side")
        return self.head(x)


def make_stages(spec: GapStudySpec, in_channels: int) -> tuple[nn.Sequential, int]:
    """Build conv1 to conv3, for "flatten" to pool3; give the number of maps that leave, too."""
    layers, channels = OrderedDict[str, nn.Module](), in_channels
    for i, (name, maps) in enumerate(CONVS.items(), start=1):
        layers[name], layers[f"relu{i}"] = nn.Conv2d(channels, maps, *CONV), nn.ReLU()
        if i < len(CONVS) or spec.head == "flatten":
            layers[f"pool{i}"] = nn.MaxPool2d(*POOL)
        channels = maps
    return nn.Sequential(layers), channels


def make_head(spec: GapStudySpec, features: int, num_classes: int) -> nn.Sequential:
    """Build what stands behind the convolutions."""
    layers = OrderedDict[str, nn.Module]()
    if spec.head == "gap":
        layers["gpooling"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    else:
        layers["flatten"] = nn.Flatten()
    layers["dropout1"] = nn.Dropout(spec.dropout)
    layers["classifier"] = nn.Linear(features, UNITS)
    layers["relu"] = nn.ReLU()
    layers["dropout2"] = nn.Dropout(spec.dropout)
    layers["output"] = nn.Linear(UNITS, num_classes)
    return nn.Sequential(layers)


def _draw(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.xavier_uniform_(layer.weight)


ARCHITECTURE = Architecture(
    Paper(
        "Famous CNN architectures and CNN visualization (lecture)",
        "Giacomo Boracchi",
        2023,
        "",  # cited by author and title
    ),
    GapStudyNet,
    {
        "cnn_flatten": Variant(GapStudySpec("flatten"), input_shape=(1, 64, 64), num_classes=10),
        "cnn_gap": Variant(GapStudySpec("gap"), input_shape=(1, 64, 64), num_classes=10),
    },
    deviations=(
        "The summaries print no activations, dropout rates or initialization: here ReLU, 0.3 and "
        "0.3, and the defaults of Keras.",
    ),
    layer_names={
        r"(conv\d|pool\d)": r"stages.\1",
        r"(flatten|gpooling|classifier|output)": r"head.\1",
    },
    builds_on={
        "nin": "Global average pooling instead of a flattened vector.",
    },
)
