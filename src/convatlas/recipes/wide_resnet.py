"""How Wide ResNet was trained: section 3.

Run: convatlas train wide_resnet28_10_cifar --data folder:PATH --recipe cifar10    # 96.00 %
"""

from convatlas.data.augment import Flip, PadCrop, PcaColor, RandomCrop, ScaleJitter
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import Steps

RECIPES = {
    "cifar10": Recipe(
        where="section 3, CIFAR-10 and CIFAR-100",
        batch_size=128,
        epochs=200,
        optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True),
        schedule=Steps(epochs=(60, 120, 160), factor=0.2),
        augment=(PadCrop(padding=4), Flip()),
        deviations=(
            "The border of 4 pixels is black; the authors mirror the image into it.",
            "Channels are normalised by mean and standard deviation, as in Table 5; Table 4 is of "
            "images with global contrast normalisation and ZCA whitening.",
            "Dropout is an option of the network, dropout=0.3.",
        ),
    ),
    "svhn": Recipe(
        where="section 3, SVHN",
        batch_size=128,
        epochs=160,
        optimizer=SGD(lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True),
        schedule=Steps(epochs=(80, 120), factor=0.1),
        deviations=(
            "Channels are normalised by mean and standard deviation; the paper divides by 255.",
            "Dropout is an option of the network, dropout=0.4.",
        ),
    ),
    "imagenet": Recipe(
        where="section 3, ImageNet: facebook/fb.resnet.torch",
        batch_size=256,
        epochs=90,
        optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True),
        schedule=Steps(epochs=(30, 60)),
        augment=(ScaleJitter(256, 480), RandomCrop(), Flip(), PcaColor(std=0.1)),
        resize_shorter=256,
        deviations=(
            "Crops of a scale-jittered image; the code of that time crops 8 % to 100 % of the area "
            "at aspect ratios of 3/4 to 4/3 and changes brightness, contrast and saturation.",
        ),
    ),
}
