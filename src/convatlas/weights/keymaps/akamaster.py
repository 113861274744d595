"""akamaster/pytorch_resnet_cifar10: ResNets for CIFAR-10 with shortcuts of option A.

Its shortcuts put half of the zero channels before the real ones and half behind; ours put all of
them behind. The channels of stages 2 and 3 have another order, then, and the same function.
"""

from convatlas.data.preprocess import Preprocessing
from convatlas.weights.key_map import KeyMap, Rules, Source
from convatlas.weights.keymaps.torchvision import MEAN, STD
from convatlas.weights.option_a import reorder_channels

RESNET: Rules = (
    ("stem.conv1.conv", "conv1"),
    ("stem.conv1.norm", "bn1"),
    ("stages.stage{i}.{block}.conv{j}.conv", "layer{i}.{block}.conv{j}"),
    ("stages.stage{i}.{block}.conv{j}.norm", "layer{i}.{block}.bn{j}"),
    ("head.fc", "linear"),
)

SOURCE = Source(
    "akamaster",
    {
        "resnet{depth}_cifar": KeyMap(
            "resnet{depth}",
            RESNET,
            reorder=reorder_channels,
            preprocessing=Preprocessing((32, 32), MEAN, STD),
        )
    },
    refused={
        f"plain{depth}_cifar": f"a plain net has no shortcuts: load it into resnet{depth}_cifar"
        for depth in (20, 32, 44, 56)
    },
)
