"""How Wide ResNet was trained: section 3.

Run: convatlas train wide_resnet28_10_cifar --data cifar10 --recipe cifar10            # 96.00 %
     convatlas train wide_resnet28_10_cifar --data cifar10 --recipe cifar10_dropout    # 96.11 %
"""

from dataclasses import replace

from convatlas.data.augment import Flip, PadCrop
from convatlas.recipe import SGD, Recipe
from convatlas.recipes.resnet import CIFAR_HELD_OUT, FACEBOOK_AUGMENT
from convatlas.schedules import Steps

_CODE = "szagoruyko/wide-residual-networks, scripts/train_cifar.sh"

_CIFAR10 = Recipe(
    where="section 3, CIFAR-10 and CIFAR-100",
    batch_size=128,
    epochs=200,
    optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True),
    schedule=Steps(epochs=(60, 120, 160), factor=0.2),
    augment=(PadCrop(padding=4, border="mirror"), Flip()),
    sources=(("augment", f"section 3; the mirrored border: {_CODE}"),),
    deviations=(
        "Channels are normalised by mean and standard deviation, as in Table 5; Table 4 is of "
        "images with global contrast normalisation and ZCA whitening.",
        CIFAR_HELD_OUT,
    ),
)

RECIPES = {
    "cifar10": _CIFAR10,
    "cifar10_dropout": replace(
        _CIFAR10,
        network=(("dropout", 0.3),),
        sources=(*_CIFAR10.sources, ("network", "section 3, Table 6")),
    ),
    # wide_resnet16_8_cifar: 1.54 % error
    "svhn": Recipe(
        where="section 3, SVHN",
        batch_size=128,
        epochs=160,
        optimizer=SGD(lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True),
        schedule=Steps(epochs=(80, 120), factor=0.1),
        network=(("dropout", 0.4),),
        sources=(("network", "section 3, Table 6"),),
        deviations=(
            "Channels are normalised by mean and standard deviation; the paper divides by 255.",
        ),
    ),
    "imagenet": Recipe(
        where="facebook/fb.resnet.torch, to which section 3 refers",
        batch_size=256,
        epochs=90,
        optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True),
        schedule=Steps(epochs=(30, 60)),
        augment=FACEBOOK_AUGMENT,
        resize_shorter=256,
    ),
}
