"""Gluon: SqueezeNet of MXNet's model zoo, which is also the one of the ONNX model zoo.

Its convolutions are counted in the order of the forward pass: squeezenet0_conv0 to conv25.
"""

from convatlas.weights.key_map import KeyMap, Rules, Source
from convatlas.weights.keymaps.torchvision import IMAGENET

SQUEEZENET: Rules = (
    ("stem.conv1", "squeezenet0_conv0"),
    *(
        (f"stages.fire{i}.{part}", f"squeezenet0_conv{3 * (i - 2) + place}")
        for i in range(2, 10)
        for place, part in enumerate(("squeeze1x1", "expand1x1", "expand3x3"), start=1)
    ),
    ("head.conv10", "squeezenet0_conv25"),
)

SOURCE = Source(
    "gluon",
    {
        "squeezenet1_0": KeyMap("squeezenet1.0", SQUEEZENET, preprocessing=IMAGENET),
        "squeezenet1_1": KeyMap("squeezenet1.1", SQUEEZENET, preprocessing=IMAGENET),
    },
    refused=dict.fromkeys(
        ("squeezenet1_0_caffe", "squeezenet1_0_bypass"),
        "Gluon's squeezenet1.0 has no bypass and does not pad conv10: load it into squeezenet1_0",
    ),
    suffixes={"weight": "_weight", "bias": "_bias"},
)
