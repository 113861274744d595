"""timm: its networks and the names in their `state_dict` (huggingface/pytorch-image-models, 1.0).

Where a network has torchvision's names, the rules are torchvision's. Its weights come from many
recipes, each with its own preprocessing, so none is given here.
"""

from convatlas.weights.key_map import KeyMap, Rules, Source
from convatlas.weights.keymaps import torchvision

PREACT_RESNET: Rules = (
    ("stem.conv1.conv", "stem.conv"),
    ("stem.conv1.norm", "stages.0.blocks.0.norm1"),
    *(
        (f"stages.conv{i + 2}_x.{{block}}.{ours}", f"stages.{i}.blocks.{{block}}.{theirs}")
        for i in range(4)
        for ours, theirs in (
            ("before.norm", "norm1"),
            ("branch.conv1", "conv1"),
            ("branch.norm1", "norm2"),
            ("branch.conv2", "conv2"),
            ("branch.norm2", "norm3"),
            ("branch.conv3", "conv3"),
            ("shortcut", "downsample.conv"),
        )
    ),
    ("final.norm", "norm"),
    ("head.fc", "head.fc"),
)
# the blocks of the first stage have no expansion: depthwise, then pointwise
EFFICIENTNET: Rules = (
    ("stem.conv.conv", "conv_stem"),
    ("stem.conv.norm", "bn1"),
    ("stages.stage2.{block}.dw.conv", "blocks.0.{block}.conv_dw"),
    ("stages.stage2.{block}.dw.norm", "blocks.0.{block}.bn1"),
    ("stages.stage2.{block}.project.conv", "blocks.0.{block}.conv_pw"),
    ("stages.stage2.{block}.project.norm", "blocks.0.{block}.bn2"),
    *(
        (f"stages.stage{i + 2}.{{block}}.{ours}", f"blocks.{i}.{{block}}.{theirs}")
        for i in range(7)
        for ours, theirs in (
            ("expand.conv", "conv_pw"),
            ("expand.norm", "bn1"),
            ("dw.conv", "conv_dw"),
            ("dw.norm", "bn2"),
            ("se.reduce", "se.conv_reduce"),
            ("se.expand", "se.conv_expand"),
            ("project.conv", "conv_pwl"),
            ("project.norm", "bn3"),
        )
    ),
    ("head.conv.conv", "conv_head"),
    ("head.conv.norm", "bn2"),
    ("head.fc", "classifier"),
)
VGG_HEAD: Rules = (
    ("head.fc6", "pre_logits.fc1"),
    ("head.fc7", "pre_logits.fc2"),
    ("head.fc8", "head.fc"),
)
BRANCH_1, BRANCH_2 = ("conv3x3", "conv5x5", "conv7x7"), ("double3x3", "double7x7")
# in timm a branch of several layers is a Sequential, counted from 0
INCEPTION_BRANCHES = {
    "conv1x1.conv1": "branch0",
    "pool.conv1": "branch3.1",
    **{f"{ours}.conv{i}": f"branch1.{i - 1}" for ours in BRANCH_1 for i in range(1, 5)},
    **{f"{ours}.conv{i}": f"branch2.{i - 1}" for ours in BRANCH_2 for i in range(1, 6)},
}
INCEPTION_C = {
    "conv1x1.conv1": "branch0",
    "conv3x3.conv1": "branch1_0",
    "conv3x3.fork.conv1": "branch1_1a",
    "conv3x3.fork.conv2": "branch1_1b",
    **{f"double3x3.conv{i}": f"branch2_{i - 1}" for i in range(1, 4)},
    "double3x3.fork.conv1": "branch2_3a",
    "double3x3.fork.conv2": "branch2_3b",
    "pool.conv1": "branch3.1",
}


def vgg(name: str) -> KeyMap:
    """Give a VGG network, whose hidden layers are convolutions in timm."""
    convs = {"head.fc6": (512, 7, 7), "head.fc7": (4096, 1, 1)}
    return KeyMap(name, (*torchvision.vgg_features(name), *VGG_HEAD), as_convs=convs)


def preact_resnet(name: str) -> KeyMap:
    """Give a pre-activation network, whose pooling comes before the first batch norm."""
    return KeyMap(
        name,
        PREACT_RESNET,
        as_convs={"head.fc": (2048, 1, 1)},
        nonnegative=("stem.conv1.norm.weight",),
    )


def inception_v4() -> KeyMap:
    """Give Inception-v4, whose modules timm counts: features.6 is the first Inception-A."""
    layers = {f"stem.conv{i}": f"features.{i - 1}" for i in range(1, 4)}
    layers |= {"stem.concat1.conv3x3.conv1": "features.3.conv"}
    layers |= {f"stem.concat2.conv3x3.conv{i}": f"features.4.branch0.{i - 1}" for i in (1, 2)}
    layers |= {f"stem.concat2.conv7x7.conv{i}": f"features.4.branch1.{i - 1}" for i in range(1, 5)}
    layers |= {"stem.concat3.conv3x3.conv1": "features.5.conv"}
    layers |= {"stages.reduction_a.conv3x3.conv1": "features.10.branch0"}
    for i in range(1, 5):
        layers[f"stages.reduction_a.double3x3.conv{i}"] = f"features.10.branch1.{i - 1}"
        layers[f"stages.reduction_b.conv3x3.conv{i}"] = f"features.18.branch0.{i - 1}"
        layers[f"stages.reduction_b.conv7x7.conv{i}"] = f"features.18.branch1.{i - 1}"
    for kind, count, place, branches in (
        ("a", 4, 5, INCEPTION_BRANCHES),
        ("b", 7, 10, INCEPTION_BRANCHES),
        ("c", 3, 18, INCEPTION_C),
    ):
        for i in range(1, count + 1):
            module = f"stages.inception_{kind}.inception_{kind}{i}"
            for ours, theirs in branches.items():
                layers[f"{module}.{ours}"] = f"features.{place + i}.{theirs}"
    rules = (*torchvision.with_norms(layers), ("head.fc", "last_linear"))
    return KeyMap("inception_v4", rules)


def inception_resnet_v2() -> KeyMap:
    """Give the released Inception-ResNet-v2."""
    layers = {"stem.Conv2d_{layer}_{size}": "conv2d_{layer}", "stages.last": "conv2d_7b"}
    layers |= {f"stem.Mixed_5b.{o}": f"mixed_5b.{t}" for o, t in INCEPTION_BRANCHES.items()}
    layers |= {"stages.reduction_a.conv3x3.conv1": "mixed_6a.branch0"}
    expand = []
    for i in range(1, 4):
        layers[f"stages.reduction_a.double3x3.conv{i}"] = f"mixed_6a.branch1.{i - 1}"
        layers[f"stages.reduction_b.conv3x3a.conv{i}"] = f"mixed_7a.branch0.{i - 1}"
        layers[f"stages.reduction_b.conv3x3b.conv{i}"] = f"mixed_7a.branch1.{i - 1}"
        layers[f"stages.reduction_b.double3x3.conv{i}"] = f"mixed_7a.branch2.{i - 1}"
    places = {f"a{i}": f"repeat.{i - 1}" for i in range(1, 11)}
    places |= {f"b{i}": f"repeat_1.{i - 1}" for i in range(1, 21)}
    places |= {f"c{i}": f"repeat_2.{i - 1}" for i in range(1, 10)} | {"c10": "block8"}
    for block, place in places.items():
        ours = f"stages.inception_resnet_{block[0]}.inception_resnet_{block}"
        expand.append((f"{ours}.expand", f"{place}.conv2d"))
        layers[f"{ours}.branches.branch1.conv1"] = f"{place}.branch0"
        for i in range(1, 4):
            layers[f"{ours}.branches.branch2.conv{i}"] = f"{place}.branch1.{i - 1}"
            layers[f"{ours}.branches.branch3.conv{i}"] = f"{place}.branch2.{i - 1}"
    rules = (*torchvision.with_norms(layers), *expand, ("head.fc", "classif"))
    return KeyMap("inception_resnet_v2", rules)


_BOTTLENECKS = ("resnet50", "resnet101", "resnet152")
_SAME = (
    *("resnet18", "resnet34", "wide_resnet50_2", "wide_resnet101_2"),
    *("resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
)
_MOBILENETS = ("mobilenet_v1", "mobilenet_v1_075", "mobilenet_v1_050", "mobilenet_v1_025")

SOURCE = Source(
    "timm",
    {
        **{name: vgg(name) for name in torchvision.VGG},
        **{name: KeyMap(name, torchvision.RESNET) for name in _SAME},
        **{f"{name}_v1_5": KeyMap(name, torchvision.RESNET) for name in _BOTTLENECKS},
        **{f"preact_resnet{depth}": preact_resnet(f"resnetv2_{depth}") for depth in (50, 101, 152)},
        **{
            name: KeyMap(name, torchvision.DENSENET)
            for name in ("densenet121", "densenet161", "densenet169", "densenet201")
        },
        "inception_v3": KeyMap("inception_v3", torchvision.INCEPTION_V3),
        "inception_v4": inception_v4(),
        "inception_resnet_v2": inception_resnet_v2(),
        **{
            f"efficientnet_b{i}": KeyMap(f"efficientnet_b{i}", EFFICIENTNET, norm_eps=1e-5)
            for i in range(8)
        },
    },
    refused={
        **{
            name: f"timm's {name} has its stride on the 3x3 convolutions: load it into {name}_v1_5"
            for name in _BOTTLENECKS
        },
        **dict.fromkeys(
            _MOBILENETS, "timm's mobilenetv1 has ReLU6 where the paper, and this network, has ReLU"
        ),
        "inception_resnet_v2_paper": "timm's inception_resnet_v2 is the released net: load it into "
        "inception_resnet_v2",
        "vgg11_lrn": "timm's vgg11 has no normalization: load it into vgg11",
        "vgg16_1x1": "timm's vgg16 is configuration D: load it into vgg16",
    },
    training_only=r"AuxLogits\.",
)
