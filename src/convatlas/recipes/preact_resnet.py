"""How the pre-activation ResNets were trained: the appendix, and Table 5 for ImageNet.

Run: convatlas train preact_resnet164_cifar --data cifar10 --recipe cifar10    # 94.54 %
"""

from dataclasses import replace

from convatlas.data.augment import Flip, PadCrop, PcaColor, RandomCrop, ScaleJitter
from convatlas.recipe import SGD, Recipe
from convatlas.recipes.resnet import (
    CIFAR_HELD_OUT,
    CIFAR_STEPS,
    FACEBOOK_AUGMENT,
    FACEBOOK_SOURCE,
)
from convatlas.schedules import Levels, Steps

_MEAN = (
    "Each channel is normalised by its mean and standard deviation; the paper subtracts the mean "
    "of each pixel, as in ResNet."
)
_CROP = "Test images are the centre 224x224 of 256; Table 5 takes 320x320 crops."

_IMAGENET = Recipe(
    where="appendix, ImageNet",
    batch_size=256,
    epochs=90,
    optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4),
    schedule=Steps(epochs=(30, 60)),  # and no warm-up
    augment=(ScaleJitter(256, 480), RandomCrop(), Flip(), PcaColor(std=0.1)),
    resize_shorter=256,
    sources=(("augment", "Table 5, scale augmentation; ResNet, section 3.4"),),
    deviations=(_MEAN, _CROP),
)

RECIPES = {
    "cifar10": Recipe(
        where="appendix, CIFAR; CIFAR-100 alike",
        batch_size=128,
        epochs=182,  # 64k iterations
        optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4),
        # all networks warm up with 0.01 for 400 iterations, though it is not necessary
        schedule=Levels(
            until=(400 / CIFAR_STEPS, 32_000 / CIFAR_STEPS, 48_000 / CIFAR_STEPS, 182.0),
            factors=(0.1, 1.0, 0.1, 0.01),
        ),
        augment=(PadCrop(padding=4), Flip()),
        deviations=(_MEAN, CIFAR_HELD_OUT, "The paper prints the median of five runs."),
    ),
    "imagenet": _IMAGENET,
    # the last row of Table 5: preact_resnet200, 20.1 % top-1 error
    "imagenet_aspect": replace(
        _IMAGENET,
        where="appendix, ImageNet; Table 5, scale and aspect ratio augmentation",
        augment=FACEBOOK_AUGMENT,
        sources=(("augment", FACEBOOK_SOURCE),),
    ),
}
