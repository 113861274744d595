"""Caffe: networks of its model zoo, and their layers (BVLC/caffe, models/ and examples/mnist).

A key is the name of a layer and the number of a blob: `conv1.0` is its weight, `conv1.1` its
bias; `conv1.weight` and `conv1.bias` will do too. The preprocessing subtracts the mean colour.
"""

from convatlas.data.preprocess import Preprocessing
from convatlas.weights.key_map import KeyMap, Rules, Source

UNIT = (1 / 255,) * 3  # pixels of 0 to 255 are not scaled


def _subtracting(size: int, red: float, green: float, blue: float) -> Preprocessing:
    mean = (red / 255, green / 255, blue / 255)
    return Preprocessing((size, size), mean, UNIT, resize_shorter=256)


ALEXNET: Rules = (("stages.conv{i}", "conv{i}"), ("head.fc{i}", "fc{i}"))
VGG: Rules = (("stages.block{b}.conv{i}_{j}", "conv{i}_{j}"), ("head.fc{i}", "fc{i}"))
NIN: Rules = (
    ("stages.mlpconv4.conv4", "conv4-1024"),
    ("stages.mlpconv4.cccp{i}", "cccp{i}-1024"),
    ("stages.mlpconv{i}.conv{i2}", "conv{i2}"),
    ("stages.mlpconv{i}.cccp{j}", "cccp{j}"),
)
SQUEEZENET: Rules = (
    ("stem.conv1", "conv1"),
    ("stages.fire{i}.{part}", "fire{i}/{part}"),
    ("head.conv10", "conv10"),
)
GOOGLENET: Rules = (
    ("stem.conv1.conv", "conv1/7x7_s2"),
    ("stem.conv2.reduce.conv", "conv2/3x3_reduce"),
    ("stem.conv2.conv.conv", "conv2/3x3"),
    ("stages.inception_{m}.conv1x1.conv", "inception_{m}/1x1"),
    ("stages.inception_{m}.conv{size}.reduce.conv", "inception_{m}/{size}_reduce"),
    ("stages.inception_{m}.conv{size}.conv.conv", "inception_{m}/{size}"),
    ("stages.inception_{m}.pool.proj.conv", "inception_{m}/pool_proj"),
    ("sides.aux{i}.conv.conv", "loss{i}/conv"),
    ("sides.aux{i}.fc1", "loss{i}/fc"),
    ("sides.aux{i}.fc2", "loss{i}/classifier"),
    ("head.fc", "loss3/classifier"),
)
LENET: Rules = (("stages.conv{i}", "conv{i}"), ("head.ip{i}", "ip{i}"))

_ALEXNET = _subtracting(227, 122.68, 116.67, 104.01)
_VGG = _subtracting(224, 123.68, 116.779, 103.939)
_SQUEEZENET = _subtracting(227, 123.0, 117.0, 104.0)
_POOLING = (
    "Caffe's ResNet pads its first pooling at the far edge only: the same shapes, another function"
)

SOURCE = Source(
    "caffe",
    {
        "lenet_caffe": KeyMap(
            "lenet",
            LENET,
            preprocessing=Preprocessing((28, 28), (0.0,), (256 / 255,)),  # pixels / 256
        ),
        "alexnet": KeyMap(
            "bvlc_alexnet",
            ALEXNET,
            overrides={"lrn_alpha": 2e-5, "lrn_k": 1.0},
            bgr="stages.conv1",
            preprocessing=_ALEXNET,
        ),
        "caffenet": KeyMap(
            "bvlc_reference_caffenet", ALEXNET, bgr="stages.conv1", preprocessing=_ALEXNET
        ),
        "nin_imagenet": KeyMap(
            "nin_imagenet",
            NIN,
            bgr="stages.mlpconv1.conv1",
            preprocessing=_subtracting(224, 122.68, 116.67, 104.01),
        ),
        "vgg16": KeyMap(
            "VGG_ILSVRC_16_layers", VGG, bgr="stages.block1.conv1_1", preprocessing=_VGG
        ),
        "vgg19": KeyMap(
            "VGG_ILSVRC_19_layers", VGG, bgr="stages.block1.conv1_1", preprocessing=_VGG
        ),
        "googlenet": KeyMap(
            "bvlc_googlenet",
            GOOGLENET,
            bgr="stem.conv1.conv",
            preprocessing=_subtracting(224, 123.0, 117.0, 104.0),
        ),
        "squeezenet1_0_caffe": KeyMap(
            "SqueezeNet_v1.0", SQUEEZENET, bgr="stem.conv1", preprocessing=_SQUEEZENET
        ),
        "squeezenet1_0_bypass": KeyMap(
            "SqueezeNet-Residual",
            SQUEEZENET,
            overrides={"conv10_padding": 1},
            bgr="stem.conv1",
            preprocessing=_SQUEEZENET,
        ),
        "squeezenet1_1": KeyMap(
            "SqueezeNet_v1.1", SQUEEZENET, bgr="stem.conv1", preprocessing=_SQUEEZENET
        ),
    },
    refused={
        "squeezenet1_0": "Caffe's SqueezeNet_v1.0 pads conv10: load it into squeezenet1_0_caffe",
        **dict.fromkeys(
            ("alexnet_towers", "alexnet_ungrouped"),
            "Caffe's bvlc_alexnet has two groups: load it into alexnet, from which "
            "convatlas.weights.alexnet_towers makes the other forms",
        ),
        **dict.fromkeys(("resnet50", "resnet101", "resnet152"), _POOLING),
        "nin_cifar10": "Caffe's cifar10_nin averages in its second pooling, where this network "
        "takes the maximum",
    },
    suffixes={"weight": ".0", "bias": ".1"},
    aliases=((r"\.weight$", ".0"), (r"\.bias$", ".1")),
    training_only=r"loss[12]/",
)
