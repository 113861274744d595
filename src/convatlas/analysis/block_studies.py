"""Blocks that papers and lectures argue with, each built alone, to be traced like any network."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from convatlas.analysis.report import Report
from convatlas.architectures.densenet import DenseNetSpec, make_stages
from convatlas.architectures.googlenet import Row, make_module, make_naive_module
from convatlas.errors import InputError
from convatlas.layers import ConvLayer, make_chain

MOST = 2**16  # of maps or pixels: far above all papers, and what torch can still count with
MOST_LAYERS, LARGEST_KERNEL = 1000, 2**10
Config = Mapping[str, Any]
Built = tuple[nn.Module, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Study:
    """A block that claims are about, outside of any network.

    Attributes:
        make: Gives the block that a claim's config asks for, and the shape of an image for it.
        keys: What `make` reads from the config.
        layer_names: As in `Architecture.layer_names`.
        measures: Quantities that are counted in a way of its own: name -> function.
    """

    make: Callable[[Config], Built]
    keys: frozenset[str]
    layer_names: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, Callable[[Report, Config], Any]] = field(default_factory=dict)

    def build(self, config: Config) -> Built:
        """Build the block on the meta device, in eval mode.

        Raises:
            InputError: The config has a key or a value that no block can be built with.
        """
        for key in config:
            if key not in self.keys:
                allowed = ", ".join(sorted(self.keys))
                raise InputError(f"the block has no {key}; it takes {allowed}")
        with torch.device("meta"):
            model, input_shape = self.make(config)
        return model.eval(), input_shape


def conv_stack(config: Config) -> Built:
    """Build convolutions in a row, each with a ReLU.

    Args:
        config: `layers`: the kernel sizes; `channels` of every map (1), `stride` (1) and `bias`
            (True) of every convolution; `input_size` in pixels (such that one value comes out).
    """
    kernels = config.get("layers")
    if not isinstance(kernels, list) or not 1 <= len(kernels) <= MOST_LAYERS:
        given = f"{len(kernels)} of them" if isinstance(kernels, list) else repr(kernels)
        raise InputError(
            f"a conv_stack needs layers, a list of 1 to {MOST_LAYERS:,} kernel sizes, not {given}"
        )
    kernels = [_size({"a kernel": k}, "a kernel", most=LARGEST_KERNEL) for k in kernels]
    channels, stride = _size(config, "channels", default=1), _size(config, "stride", default=1)
    least = 1
    for kernel in reversed(kernels):
        least = (least - 1) * stride + kernel
    size = _size(config, "input_size", default=least)
    bias = config.get("bias", True) is not False
    layers: list[nn.Module] = []
    for kernel in kernels:
        layers += [nn.Conv2d(channels, channels, kernel, stride, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers), (channels, size, size)


def inception_module(config: Config, *, naive: bool = False) -> Built:
    """Build an Inception module of GoogLeNet (Figure 2).

    Args:
        config: `input`: [C, H, W]; the maps of the branches: `c1`, `c3`, `c5`, and if it is not
            naive `r3` and `r5` of the reductions and `pool_proj`. By default those of an example
            that lectures copy: 256 maps of 28x28.
        naive: Without reductions.
    """
    sizes = {"c1": 128, "r3": 64, "c3": 192, "r5": 64, "c5": 96, "pool_proj": 64}
    maps = [_size(config, name, default=default) for name, default in sizes.items()]
    input_shape = _image(config, (256, 28, 28))
    make = make_naive_module if naive else make_module
    module, _ = make(input_shape[0], Row(*maps), ConvLayer)
    return module, input_shape


def inception_mini(config: Config) -> Built:
    """Build the network around one Inception module of G. Boracchi's lecture of 2023.

    Its Keras summary names the layers: `layer_names` translates them.

    Args:
        config: `input_size` or `input` of an image (32x32 in colour), `num_classes` (10).
    """
    input_shape = _image(config, (3, 32, 32))
    classes = _size(config, "num_classes", default=10)
    module, maps = make_module(32, Row(32, 64, 32, 64, 32, 32), ConvLayer)
    net = make_chain(
        conv=ConvLayer(input_shape[0], 32, 3),
        mp=nn.MaxPool2d(2),
        concat=module,
        gap=make_chain(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()),
        output_layer=nn.Linear(maps, classes),
    )
    return net, input_shape


def dense_block(config: Config) -> Built:
    """Build a dense block of DenseNet, without bottlenecks.

    Args:
        config: `layers`, or the number `l` of one of them; `k`: the maps that each adds (12);
            `k0`: the maps that enter the block (16); `input_size` in pixels (1).
    """
    layers = _size(config, "layers", "l", most=MOST_LAYERS)
    maps, growth = _size(config, "k0", default=16), _size(config, "k", default=12)
    spec = DenseNetSpec((layers,), growth, maps, bottleneck=False)
    size = _size(config, "input_size", default=1)
    return make_stages(spec)[0], (maps, size, size)


def _dense_layers(report: Report) -> list[Any]:
    return [
        record
        for name, record in report.containers.items()
        if re.fullmatch(r"dense1\.layer\d+", name)
    ]


def _direct_connections(report: Report, _config: Config) -> int:
    """Count what enters each layer: the maps that entered the block, and those of each before."""
    layers, entering = _dense_layers(report), report.input_shape[0]
    growth = layers[0].output_shape[0] - entering
    return sum(1 + (layer.input_shape[0] - entering) // growth for layer in layers)


def _channels(report: Report, config: Config) -> int:
    """Give the maps that enter layer `l`; without it, those that leave the block."""
    layers = _dense_layers(report)
    if "l" not in config:
        return layers[-1].output_shape[0]
    number = _size(config, "l")
    if number > len(layers):
        raise InputError(f"the block has {len(layers)} layers, not {number}")
    return layers[number - 1].input_shape[0]


_STEP = re.compile(
    r"(?P<full>(?:standard |full )?(?:conv(?:olution)?)|standard|full)"
    r"|(?:depthwise )?separable(?: conv(?:olution)?)?"
    r"|(?:alpha|\u03b1) ?= ?(?P<alpha>\d+(?:\.\d+)?)"
    r"|(?:rho|\u03c1) ?= ?(?P<rho>\d+(?:\.\d+)?)(?: \(.*\))?"
)


def depthwise_separable(config: Config) -> Built:
    """Build a layer of MobileNet or what it replaces (Howard et al. 2017, Table 3).

    There is no batch norm, for the table counts none.

    Args:
        config: `in` or `M`, the maps that enter (as many as leave); `out` or `N`, those that
            leave (512); `k` or `D_K`, the kernel (3); `size` or `D_F`, in pixels (14); `step`: a
            row of the table, each of which adds to the one before: "convolution", "depthwise
            separable", "alpha = 0.75" (the width), "rho = 0.714" (the resolution); `alpha` of
            the last row (0.75).
    """
    words = config.get("step", "depthwise separable")
    step = _STEP.fullmatch(words.lower()) if isinstance(words, str) else None
    if step is None:
        raise InputError(f"the step {words!r} is not understood")
    width = float(step["alpha"] or 1) if step["rho"] is None else config.get("alpha", 0.75)
    maps_out = _size(config, "out", "N", default=512)
    maps_in = _scaled(_size(config, "in", "M", default=maps_out), width)
    maps_out = _scaled(maps_out, width)
    kernel = _size(config, "k", "D_K", default=3, most=LARGEST_KERNEL)
    size = round(_size(config, "size", "D_F", default=14) * float(step["rho"] or 1))
    if step["full"]:
        layer = nn.Conv2d(maps_in, maps_out, kernel, padding="same", bias=False)
        return make_chain(conv=layer), (maps_in, size, size)
    depthwise = nn.Conv2d(maps_in, maps_in, kernel, padding="same", groups=maps_in, bias=False)
    pointwise = nn.Conv2d(maps_in, maps_out, 1, bias=False)
    return make_chain(dw=depthwise, pw=pointwise), (maps_in, size, size)


def gap(config: Config) -> Built:
    """Build a global average pooling; `input` or `input_size` in the config: one map of 7x7."""
    input_shape = _image(config, (1, 7, 7))
    return make_chain(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()), input_shape


def _size(config: Config, *names: str, default: int | None = None, most: int = MOST) -> int:
    """Give the number under the first of these names that the config has."""
    value = next((config[name] for name in names if name in config), default)
    if type(value) is not int or not 1 <= value <= most:
        raise InputError(f"{names[0]} must be a whole number from 1 to {most:,}, not {value!r}")
    return value


def _image(config: Config, native: tuple[int, int, int]) -> tuple[int, ...]:
    shape = config.get("input", list(native))
    if not isinstance(shape, list) or len(shape) != 3:
        raise InputError(f"input must be [channels, height, width], not {shape!r}")
    size = config.get("input_size")
    shape = [shape[0], size, size] if size is not None else shape
    return tuple(_size({"input": side}, "input") for side in shape)


def _scaled(maps: int, width: Any) -> int:
    if type(width) not in (int, float) or not 0 < width <= 1:
        raise InputError(f"alpha must be a number above 0, at most 1, not {width!r}")
    return max(1, int(maps * width))


_SIZES = frozenset({"input", "input_size"})
_MAPS = frozenset({"c1", "c3", "c5", "r3", "r5", "pool_proj"})
_KERAS = {
    r"conv_1_1": "concat.conv1x1",
    r"conv_2_1": "concat.conv3x3.reduce",
    r"conv_2_2": "concat.conv3x3.conv",
    r"conv_3_1": "concat.conv5x5.reduce",
    r"conv_3_2": "concat.conv5x5.conv",
    r"mp_4_1": "concat.pool.pool",
    r"conv_4_1": "concat.pool.proj",
}

STUDIES: dict[str, Study] = {
    "conv_stack": Study(
        conv_stack, frozenset({"layers", "channels", "stride", "bias", "input_size"})
    ),
    "inception_module": Study(inception_module, _SIZES | _MAPS),
    "inception_module_naive": Study(
        lambda config: inception_module(config, naive=True), _SIZES | {"c1", "c3", "c5"}
    ),
    "inception_mini": Study(inception_mini, _SIZES | {"num_classes"}, _KERAS),
    "dense_block": Study(
        dense_block,
        frozenset({"layers", "l", "k", "k0", "input_size"}),
        measures={"connections": _direct_connections, "channels": _channels},
    ),
    "depthwise_separable": Study(
        depthwise_separable,
        frozenset({"in", "M", "out", "N", "k", "D_K", "size", "D_F", "step", "alpha"}),
    ),
    "gap": Study(gap, _SIZES),
}
