"""How AlexNet was trained: sections 2, 4 and 5.

Run: convatlas train alexnet --data folder:PATH --recipe imagenet    # 59.3 % top-1, Table 2
"""

from dataclasses import replace

from convatlas.data.augment import CenterCrop, Flip, PcaColor, RandomCrop, Resize, ScaleJitter
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import OnPlateau, Steps

_IMAGENET = Recipe(
    where="section 5",
    batch_size=128,
    epochs=90,
    optimizer=SGD(lr=0.01, momentum=0.9, weight_decay=5e-4, form="caffe"),
    schedule=OnPlateau(factor=0.1, max_drops=3),
    augment=(ScaleJitter(256, 256), CenterCrop(256), RandomCrop(), Flip(), PcaColor(std=0.1)),
    resize_shorter=256,
    sources=(
        ("schedule.patience", "our own: the paper does not say how long it waited"),
        ("augment", "section 2: the middle 256x256; section 4.1: crops, mirrored, other colours"),
        ("resize_shorter", "section 2"),
    ),
    deviations=(
        "A plateau is five epochs without a lower validation error: the paper does not say.",
        "Crops are of 227x227, which is what the layers take; the paper says 224x224.",
        "Pixels lose the mean colour and are divided by its deviation; the paper subtracts the "
        "mean image.",
        "Test images are one centre crop; section 4.1 averages ten.",
    ),
)

RECIPES = {
    "imagenet": _IMAGENET,
    "imagenet_steps": replace(
        _IMAGENET,
        where="section 5, with the cuts at fixed epochs",
        schedule=Steps(epochs=(30, 60, 80)),
        sources=(("schedule", "our own"), *_IMAGENET.sources[1:]),
        deviations=(
            "The rate is cut after epochs 30, 60 and 80; the paper waits for a plateau.",
            *_IMAGENET.deviations[1:],
        ),
    ),
    "caffe": Recipe(
        where="BVLC/caffe, models/bvlc_alexnet: 57.1 % top-1, 80.2 % top-5, one crop",
        batch_size=256,
        epochs=90,  # 450,000 steps
        optimizer=SGD(lr=0.01, momentum=0.9, weight_decay=5e-4, form="caffe"),
        schedule=Steps(epochs=(20, 40, 60, 80)),  # each 100,000 steps
        undecayed=("biases",),
        bias_rate=2.0,
        network=(("init", "caffe"),),
        augment=(Resize(side=256), RandomCrop(), Flip()),
        resize_shorter=256,
        deviations=(
            "Test images keep their proportions; Caffe stretches them to 256x256, too.",
            "Pixels lose the mean colour and are divided by its deviation; Caffe subtracts the "
            "mean image.",
            "Normalization is that of the network chosen: alexnet has the paper's k = 2, Caffe 1.",
        ),
    ),
}
