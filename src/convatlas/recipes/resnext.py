"""How ResNeXt was trained: sections 4 (ImageNet) and 5.3 (CIFAR).

Run: convatlas train resnext29_8x64d_cifar --data cifar10 --recipe cifar10    # 96.35 %
"""

from convatlas.data.augment import Flip, PadCrop
from convatlas.recipe import SGD, Recipe
from convatlas.recipes.resnet import CIFAR_HELD_OUT, FACEBOOK_AUGMENT
from convatlas.schedules import Steps

_CODE = "facebookresearch/ResNeXt"

RECIPES = {
    "imagenet": Recipe(
        where="section 4",
        batch_size=256,
        epochs=100,
        optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True),
        schedule=Steps(epochs=(30, 60, 90)),  # divided by 10 three times
        augment=FACEBOOK_AUGMENT,
        resize_shorter=256,
        sources=(
            ("epochs", f"{_CODE}, opts.lua: the paper prints none"),
            ("optimizer.nesterov", f"{_CODE}, train.lua"),
            ("schedule.epochs", f"{_CODE}, train.lua"),
            ("augment", f"section 4; photometry: {_CODE}, datasets/imagenet.lua"),
        ),
    ),
    "cifar10": Recipe(
        where="section 5.3; CIFAR-100 alike",
        batch_size=128,
        epochs=300,
        optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True),
        schedule=Steps(epochs=(150, 225)),
        augment=(PadCrop(padding=4), Flip()),
        sources=(("optimizer.nesterov", f"{_CODE}, train.lua"),),
        deviations=(CIFAR_HELD_OUT, "The paper prints the mean of ten runs."),
    ),
}
