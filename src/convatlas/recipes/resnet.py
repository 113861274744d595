"""How ResNet was trained: sections 3.4 (ImageNet) and 4.2 (CIFAR-10).

Run: convatlas train resnet20_cifar --data folder:PATH --recipe cifar10    # 91.25 % (Table 6)
"""

from dataclasses import replace

from convatlas.data.augment import Flip, PadCrop, PcaColor, RandomCrop, ScaleJitter
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import Levels, Steps

_STEPS = 352  # iterations an epoch: 45,000 images, 5,000 being left for validation, by 128

_CIFAR10 = Recipe(
    where="section 4.2",
    batch_size=128,
    epochs=182,  # 64k iterations
    optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4),
    schedule=Steps(epochs=(32_000 / _STEPS, 48_000 / _STEPS)),
    augment=(PadCrop(padding=4), Flip()),
    deviations=(
        "Each channel is normalised by its mean and standard deviation; the paper subtracts the "
        "mean of each pixel.",
    ),
)

RECIPES = {
    "imagenet": Recipe(
        where="section 3.4",
        batch_size=256,
        epochs=120,  # at most 60 x 10^4 iterations
        optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4),
        schedule=Steps(epochs=(30, 60, 90)),
        augment=(ScaleJitter(256, 480), RandomCrop(), Flip(), PcaColor(std=0.1)),
        resize_shorter=256,
        deviations=(
            "The rate is cut at epochs 30, 60 and 90; the paper cuts it when the error plateaus "
            "and prints neither when nor how often.",
            "Each channel is normalised by its mean and standard deviation; the paper subtracts "
            "the mean of each pixel.",
            "Test images are one centre crop; the paper takes ten crops or several scales.",
        ),
    ),
    "cifar10": _CIFAR10,
    # resnet110_cifar does not start at 0.1: 0.01 until the training error is below 80 %
    "cifar10_warmup": replace(
        _CIFAR10,
        where="section 4.2, the 110-layer network",
        schedule=Levels(
            until=(400 / _STEPS, 32_000 / _STEPS, 48_000 / _STEPS, 182.0),
            factors=(0.1, 1.0, 0.1, 0.01),
        ),
        deviations=(
            *_CIFAR10.deviations,
            "The warm-up lasts 400 iterations, which is what the paper's own run took; it is not "
            "ended by the training error.",
        ),
    ),
}
