"""Yerlan Idelbayev's ResNets for CIFAR-10, by the training of the paper (BSD 2-Clause).

https://github.com/akamaster/pytorch_resnet_cifar10; the accuracies are 100 minus the errors of its
README, on the 10,000 test images.
"""

from convatlas.weights.registry.entry import Published

COMMIT = "d5489e8995e81e91ce6b1d69dcc98ad579b0b153"
FOLDER = "akamaster/pytorch_resnet_cifar10"
ROWS = {  # depth: sha256, or the digits that its name holds; MB; top-1
    20: ("12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8", 1.05, 91.73),
    32: ("d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850", 1.80, 92.63),
    44: ("014dd6541728a1c700b1642ab640e211dc6eb8ed507d70697458dc8f8a0ae2e4", 2.56, 93.10),
    56: ("4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367", 3.31, 93.39),
    110: ("1d1ed7c2", 6.7, 93.68),
    1202: ("f3b1deed", 76.0, 93.82),
}


def _published(depth: int, sha256: str, megabytes: float, top1: float) -> Published:
    path = f"pretrained_models/resnet{depth}-{sha256[:8]}.th"
    return Published(
        f"resnet{depth}_cifar",
        "akamaster",
        "akamaster",
        (
            f"https://raw.githubusercontent.com/{FOLDER}/{COMMIT}/{path}",
            f"https://github.com/{FOLDER}/raw/master/{path}",
        ),
        sha256,
        megabytes,
        "cifar10",
        "BSD-2-Clause",
        top1,
        None,
        f"https://github.com/{FOLDER}",
    )


WEIGHTS = tuple(_published(depth, *row) for depth, row in ROWS.items())
