"""How ResNeXt was trained: sections 4 (ImageNet) and 5.3 (CIFAR).

Run: convatlas train resnext29_8x64d_cifar --data folder:PATH --recipe cifar10    # 96.35 %
"""

from convatlas.data.augment import Flip, PadCrop, PcaColor, RandomCrop, ScaleJitter
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import Steps

RECIPES = {
    "imagenet": Recipe(
        where="section 4; facebookresearch/ResNeXt",
        batch_size=256,
        epochs=100,  # the default of the authors' code; the paper prints none
        optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True),
        schedule=Steps(epochs=(30, 60, 90)),  # divided by 10 three times
        augment=(ScaleJitter(256, 480), RandomCrop(), Flip(), PcaColor(std=0.1)),
        resize_shorter=256,
        deviations=(
            "Crops of a scale-jittered image; the paper crops 8 % to 100 % of the area at aspect "
            "ratios of 3/4 to 4/3, and its code changes brightness, contrast and saturation.",
        ),
    ),
    "cifar10": Recipe(
        where="section 5.3; facebookresearch/ResNeXt; CIFAR-100 alike",
        batch_size=128,
        epochs=300,
        optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True),
        schedule=Steps(epochs=(150, 225)),
        augment=(PadCrop(padding=4), Flip()),
        deviations=("The paper prints the mean of ten runs.",),
    ),
}
