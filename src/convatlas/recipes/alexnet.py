"""How AlexNet was trained: sections 2, 4 and 5.

Run: convatlas train alexnet --data folder:PATH --recipe imagenet    # 59.3 % top-1, Table 2
"""

from dataclasses import replace

from convatlas.data.augment import Flip, PcaColor, RandomCrop, ScaleJitter
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import OnPlateau, Steps

_IMAGENET = Recipe(
    where="sections 2, 4 and 5",
    batch_size=128,
    epochs=90,
    optimizer=SGD(lr=0.01, momentum=0.9, weight_decay=5e-4),
    schedule=OnPlateau(factor=0.1, max_drops=3),  # cut three times
    # section 2: the shorter side is 256; section 4.1: crops, mirrored, their colours shifted
    augment=(ScaleJitter(256, 256), RandomCrop(), Flip(), PcaColor(std=0.1)),
    resize_shorter=256,
    deviations=(
        "A plateau is five epochs without a lower validation error: the paper does not say.",
        "Crops of 227x227 come from the whole resized image; the paper first cuts its centre "
        "256x256, then crops 224x224.",
        "Pixels lose the mean colour and are divided by its deviation; the paper subtracts the "
        "mean image.",
        "Test images are one centre crop; section 4.1 averages ten.",
        "torch multiplies the rate into the step, not into the momentum: the two differ for a "
        "few steps after each cut of the rate.",
    ),
)

RECIPES = {
    "imagenet": _IMAGENET,
    "imagenet_steps": replace(
        _IMAGENET,
        where="sections 2, 4 and 5, with the cuts at fixed epochs",
        schedule=Steps(epochs=(30, 60, 80)),
        deviations=(
            "The rate is cut after epochs 30, 60 and 80; the paper waits for a plateau.",
            *_IMAGENET.deviations[1:],
        ),
    ),
    "caffe": Recipe(
        where="BVLC/caffe, models/bvlc_alexnet: 57.1 % top-1, 80.2 % top-5, one crop",
        batch_size=256,
        epochs=90,  # 450,000 steps
        optimizer=SGD(lr=0.01, momentum=0.9, weight_decay=5e-4),
        schedule=Steps(epochs=(20, 40, 60, 80)),  # each 100,000 steps
        augment=(ScaleJitter(256, 256), RandomCrop(), Flip()),
        resize_shorter=256,
        deviations=(
            "Biases learn at the rate of the weights and decay; Caffe doubles their rate and "
            "spares them.",
            "Images keep their proportions; Caffe stretches them to 256x256.",
            "Pixels lose the mean colour and are divided by its deviation; Caffe subtracts the "
            "mean image.",
        ),
    ),
}
