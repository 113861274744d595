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
        "vgg11_lrn": "timm's vgg11 has no normalization: load it into vgg11",
        "vgg16_1x1": "timm's vgg16 is configuration D: load it into vgg16",
    },
    training_only=r"AuxLogits\.",
)
