"""How DenseNet was trained: section 4.2.

Run: convatlas train densenet_bc100_k12_cifar --data cifar10 --recipe cifar10    # 95.49 %
"""

from dataclasses import replace

from convatlas.data.augment import Flip, PadCrop
from convatlas.recipe import SGD, Recipe
from convatlas.recipes.resnet import CIFAR_HELD_OUT, FACEBOOK_AUGMENT, FACEBOOK_SOURCE
from convatlas.schedules import Steps

_CIFAR10 = Recipe(
    where='section 4.2, CIFAR with augmentation ("C10+", "C100+")',
    batch_size=64,
    epochs=300,
    optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True),
    schedule=Steps(epochs=(150, 225)),  # 50 % and 75 %
    augment=(PadCrop(padding=4), Flip()),
    deviations=(CIFAR_HELD_OUT,),
)

_IMAGENET = Recipe(
    where="section 4.2, ImageNet",
    batch_size=256,
    epochs=90,
    optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True),
    schedule=Steps(epochs=(30, 60)),
    augment=FACEBOOK_AUGMENT,
    resize_shorter=256,
    sources=(("augment", f"section 4.1: that of fb.resnet.torch ({FACEBOOK_SOURCE})"),),
)

RECIPES = {
    "cifar10": _CIFAR10,
    "cifar10_plain": replace(
        _CIFAR10,
        where='section 4.2, CIFAR without augmentation ("C10", "C100")',
        network=(("dropout", 0.2),),
        augment=(),
    ),
    "svhn": replace(
        _CIFAR10,
        where="section 4.2, SVHN",
        epochs=40,
        schedule=Steps(epochs=(20, 30)),  # 50 % and 75 %
        network=(("dropout", 0.2),),
        augment=(),
        deviations=(
            "Channels are normalised by mean and standard deviation; the paper divides by 255.",
        ),
    ),
    "imagenet": _IMAGENET,
    # densenet264 did not fit the memory with 256 images
    "imagenet_264": replace(
        _IMAGENET,
        where="section 4.2, ImageNet, DenseNet-264",
        batch_size=128,
        epochs=100,
        schedule=Steps(epochs=(30, 60, 90)),
    ),
}
