"""torchvision: its networks and the names in their `state_dict` (pytorch/vision, 0.28).

The preprocessing is that of the weights called IMAGENET1K_V1; V2 weights resize to 232 pixels.
"""

from convatlas.data.preprocess import Preprocessing
from convatlas.weights.key_map import KeyMap, Rules, Source

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET = Preprocessing((224, 224), MEAN, STD, resize_shorter=256)
RESIZED_TO_232 = Preprocessing((224, 224), MEAN, STD, resize_shorter=232)
HALF = (0.5, 0.5, 0.5)  # mean and std once `transform_input` is done, as in the weights of Google

NORMED = {"conv": "conv", "norm": "bn"}
BLOCK = {
    "conv{i}.conv": "conv{i}",
    "conv{i}.norm": "bn{i}",
    "reduce.conv": "conv1",
    "reduce.norm": "bn1",
    "conv.conv": "conv2",
    "conv.norm": "bn2",
    "restore.conv": "conv3",
    "restore.norm": "bn3",
    "shortcut.conv": "downsample.0",
    "shortcut.norm": "downsample.1",
}
RESNET: Rules = (
    ("stem.conv1.conv", "conv1"),
    ("stem.conv1.norm", "bn1"),
    *(
        (f"stages.conv{i + 1}_x.{{block}}.{ours}", f"layer{i}.{{block}}.{theirs}")
        for i in range(1, 5)
        for ours, theirs in BLOCK.items()
    ),
    ("head.fc", "fc"),
)
ALEXNET: Rules = (
    ("stages.conv1", "features.0"),
    ("stages.conv2", "features.3"),
    ("stages.conv3", "features.6"),
    ("stages.conv4", "features.8"),
    ("stages.conv5", "features.10"),
    ("head.fc6", "classifier.1"),
    ("head.fc7", "classifier.4"),
    ("head.fc8", "classifier.6"),
)
VGG = {  # places of the convolutions in `features`, block after block
    "vgg11": "0|3|6 8|11 13|16 18",
    "vgg13": "0 2|5 7|10 12|15 17|20 22",
    "vgg16": "0 2|5 7|10 12 14|17 19 21|24 26 28",
    "vgg19": "0 2|5 7|10 12 14 16|19 21 23 25|28 30 32 34",
    "vgg11_bn": "0|4|8 11|15 18|22 25",
    "vgg13_bn": "0 3|7 10|14 17|21 24|28 31",
    "vgg16_bn": "0 3|7 10|14 17 20|24 27 30|34 37 40",
    "vgg19_bn": "0 3|7 10|14 17 20 23|27 30 33 36|40 43 46 49",
}
SQUEEZENET = {  # places of fire2 to fire9 in `features`
    "squeezenet1_0": (3, 4, 5, 7, 8, 9, 10, 12),
    "squeezenet1_1": (3, 4, 6, 7, 9, 10, 11, 12),
}
DENSENET: Rules = (
    ("stem.conv0.conv", "features.conv0"),
    ("stem.conv0.norm", "features.norm0"),
    *(
        (
            f"stages.dense{{b}}.layer{{layer}}.composite.{part}{{i}}",
            f"features.denseblock{{b}}.denselayer{{layer}}.{part}{{i}}",
        )
        for part in ("norm", "conv")
    ),
    ("stages.transition{b}.norm", "features.transition{b}.norm"),
    ("stages.transition{b}.conv", "features.transition{b}.conv"),
    ("final.norm", "features.norm5"),
    ("head.fc", "classifier"),
)
# the block of the first stage does not expand, so its other parts come one place earlier
EFFICIENTNET: Rules = (
    ("stem.conv.conv", "features.0.0"),
    ("stem.conv.norm", "features.0.1"),
    *(
        (
            f"stages.stage{i + 1}.{{block}}.{part}.{kind}",
            f"features.{i}.{{block}}.block.{place - (i == 1)}.{j}",
        )
        for i in range(1, 8)
        for part, place in (("expand", 0), ("dw", 1), ("project", 3))
        for j, kind in enumerate(NORMED)
    ),
    *(
        (
            f"stages.stage{i + 1}.{{block}}.se.{part}",
            f"features.{i}.{{block}}.block.{2 - (i == 1)}.{theirs}",
        )
        for i in range(1, 8)
        for part, theirs in (("reduce", "fc1"), ("expand", "fc2"))
    ),
    ("head.conv.conv", "features.8.0"),
    ("head.conv.norm", "features.8.1"),
    ("head.fc", "classifier.1"),
)
GOOGLENET_LAYERS = {
    "stem.conv1": "conv1",
    "stem.conv2.reduce": "conv2",
    "stem.conv2.conv": "conv3",
    "stages.inception_{m}.conv1x1": "inception{m}.branch1",
    "stages.inception_{m}.conv3x3.reduce": "inception{m}.branch2.0",
    "stages.inception_{m}.conv3x3.conv": "inception{m}.branch2.1",
    "stages.inception_{m}.conv5x5.reduce": "inception{m}.branch3.0",
    "stages.inception_{m}.conv5x5.conv": "inception{m}.branch3.1",
    "stages.inception_{m}.pool.proj": "inception{m}.branch4.1",
    "sides.aux{i}.conv": "aux{i}.conv",
}
INCEPTION_V3_LAYERS = {
    "stem.Conv2d_{layer}_{size}": "Conv2d_{layer}_{size}",
    "stages.Mixed_6a.conv3x3.conv1": "Mixed_6a.branch3x3",
    "stages.Mixed_7a.conv7x7.conv{i}": "Mixed_7a.branch7x7x3_{i}",
    **{
        f"stages.Mixed_{{m}}.{ours}": f"Mixed_{{m}}.{theirs}"
        for ours, theirs in {
            "conv1x1.conv1": "branch1x1",
            "conv5x5.conv{i}": "branch5x5_{i}",
            "conv7x7.conv{i}": "branch7x7_{i}",
            "double7x7.conv{i}": "branch7x7dbl_{i}",
            "double3x3.conv{i}": "branch3x3dbl_{i}",
            "double3x3.fork.conv1": "branch3x3dbl_3a",
            "double3x3.fork.conv2": "branch3x3dbl_3b",
            "conv3x3.conv{i}": "branch3x3_{i}",
            "conv3x3.fork.conv1": "branch3x3_2a",
            "conv3x3.fork.conv2": "branch3x3_2b",
            "pool.conv1": "branch_pool",
        }.items()
    },
    "sides.aux.conv1": "AuxLogits.conv0",
    "sides.aux.conv2": "AuxLogits.conv1",
}


def with_norms(layers: dict[str, str]) -> Rules:
    """Give the rules of layers that are a convolution and a batch norm in both libraries."""
    return tuple(
        (f"{ours}.{part}", f"{theirs}.{name}")
        for ours, theirs in layers.items()
        for part, name in NORMED.items()
    )


GOOGLENET: Rules = (
    *with_norms(GOOGLENET_LAYERS),
    ("sides.aux{i}.fc{j}", "aux{i}.fc{j}"),
    ("head.fc", "fc"),
)
INCEPTION_V3: Rules = (
    *with_norms(INCEPTION_V3_LAYERS),
    ("sides.aux.fc", "AuxLogits.fc"),
    ("head.fc", "fc"),
)


def vgg_features(name: str) -> Rules:
    """Give the rules of the convolutions of a VGG network, and of their batch norms."""
    rules = []
    for b, block in enumerate(VGG[name].split("|"), start=1):
        for j, place in enumerate(block.split(), start=1):
            rules.append((f"stages.block{b}.conv{b}_{j}", f"features.{place}"))
            rules.append((f"stages.block{b}.norm{b}_{j}", f"features.{int(place) + 1}"))
    return tuple(rules)


def vgg(name: str) -> KeyMap:
    """Give a VGG network."""
    head = (
        ("head.fc6", "classifier.0"),
        ("head.fc7", "classifier.3"),
        ("head.fc8", "classifier.6"),
    )
    return KeyMap(name, (*vgg_features(name), *head), preprocessing=IMAGENET)


def squeezenet(name: str) -> KeyMap:
    """Give a SqueezeNet."""
    fires = enumerate(SQUEEZENET[name], start=2)
    parts = {"squeeze1x1": "squeeze", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
    rules = (
        ("stem.conv1", "features.0"),
        *(
            (f"stages.fire{i}.{ours}", f"features.{place}.{theirs}")
            for i, place in fires
            for ours, theirs in parts.items()
        ),
        ("head.conv10", "classifier.1"),
    )
    return KeyMap(name, rules, preprocessing=IMAGENET)


def efficientnet(name: str, crop: int, resize: int) -> KeyMap:
    """Give an EfficientNet; up to B4 its batch norm has torch's own eps."""
    preprocessing = Preprocessing((crop, crop), MEAN, STD, resize, "bicubic")
    eps = 1e-5 if name[-1] in "01234" else 1e-3
    return KeyMap(name, EFFICIENTNET, norm_eps=eps, preprocessing=preprocessing)


_BOTTLENECKS = ("resnet50", "resnet101", "resnet152")
_SAME = (
    *("resnet18", "resnet34", "resnext50_32x4d", "resnext101_32x8d"),
    *("wide_resnet50_2", "wide_resnet101_2"),
)
_ALEXNETS = ("alexnet", "alexnet_towers", "alexnet_ungrouped", "alexnet_bn", "caffenet")

SOURCE = Source(
    "torchvision",
    {
        "alexnet_owt": KeyMap("alexnet", ALEXNET, preprocessing=IMAGENET),
        **{name: vgg(name) for name in VGG},
        **{name: squeezenet(name) for name in SQUEEZENET},
        **{name: KeyMap(name, RESNET, preprocessing=IMAGENET) for name in _SAME},
        "resnext101_64x4d": KeyMap("resnext101_64x4d", RESNET, preprocessing=RESIZED_TO_232),
        **{f"{name}_v1_5": KeyMap(name, RESNET, preprocessing=IMAGENET) for name in _BOTTLENECKS},
        **{
            name: KeyMap(name, DENSENET, preprocessing=IMAGENET)
            for name in ("densenet121", "densenet161", "densenet169", "densenet201")
        },
        "googlenet_torchvision": KeyMap(
            "googlenet", GOOGLENET, preprocessing=Preprocessing((224, 224), HALF, HALF, 256)
        ),
        "inception_v3": KeyMap(
            "inception_v3", INCEPTION_V3, preprocessing=Preprocessing((299, 299), HALF, HALF, 342)
        ),
        "efficientnet_b0": efficientnet("efficientnet_b0", 224, 256),
        "efficientnet_b1": efficientnet("efficientnet_b1", 240, 256),
        "efficientnet_b2": efficientnet("efficientnet_b2", 288, 288),
        "efficientnet_b3": efficientnet("efficientnet_b3", 300, 320),
        "efficientnet_b4": efficientnet("efficientnet_b4", 380, 384),
        "efficientnet_b5": efficientnet("efficientnet_b5", 456, 456),
        "efficientnet_b6": efficientnet("efficientnet_b6", 528, 528),
        "efficientnet_b7": efficientnet("efficientnet_b7", 600, 600),
    },
    refused={
        **{
            name: f"torchvision's {name} has its stride on the 3x3 convolutions: load it into "
            f"{name}_v1_5"
            for name in _BOTTLENECKS
        },
        **dict.fromkeys(
            _ALEXNETS,
            "torchvision's alexnet is the one tower of 'One weird trick', without normalization: "
            "load it into alexnet_owt",
        ),
        **dict.fromkeys(
            ("googlenet", "googlenet_naive"),
            "torchvision's googlenet has batch norm, 3x3 filters in place of 5x5 and another "
            "pooling: load it into googlenet_torchvision",
        ),
        "vgg11_lrn": "torchvision's vgg11 has no normalization: load it into vgg11",
        "vgg16_1x1": "torchvision's vgg16 is configuration D: load it into vgg16",
        **dict.fromkeys(
            ("squeezenet1_0_caffe", "squeezenet1_0_bypass", "squeezenet1_0_complex_bypass"),
            "torchvision's squeezenet1_0 has no bypass and does not pad conv10: load it into "
            "squeezenet1_0",
        ),
    },
    aliases=((r"(denselayer\d+\.(?:norm|conv))\.(\d\.)", r"\1\2"),),
    training_only=r"aux\d\.|AuxLogits\.",
)
