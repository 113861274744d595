"""How BN-Inception was trained: section 4.2.

Run: convatlas train bn_inception --data folder:PATH --recipe imagenet    # 74.8 % (Figure 3)
"""

from dataclasses import replace

from convatlas.data.augment import Flip, RandomCrop, ScaleJitter
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import Steps

_BN_X30 = Recipe(
    where="section 4.2",
    batch_size=32,
    epochs=150,  # 6 million steps to the best accuracy of BN-x30 (Figure 3)
    optimizer=SGD(
        lr=0.045,  # 30 times the 0.0015 of Inception (section 4.2.2)
        momentum=0.9,  # that of GoogLeNet: the paper says "a version of SGD with momentum"
        weight_decay=4e-5,  # a fifth (section 4.2.1) of the 2e-4 of GoogLeNet's replica
    ),
    # six times as fast (section 4.2.1) as GoogLeNet's 4 % every 8 epochs
    schedule=Steps(epochs=tuple(round(8 / 6 * k, 3) for k in range(1, 113)), factor=0.96),
    augment=(ScaleJitter(224, 480), RandomCrop(), Flip()),  # fewer distortions (section 4.2.1)
    resize_shorter=256,
    deviations=(
        "Crops keep their proportions and show 22 to 100 % of a square image; the paper takes "
        "those of GoogLeNet.",
        "Every epoch has an order of its own; section 4.2.1 also keeps images of one shard apart.",
        "One process; section 4.2: distributed.",
    ),
)

RECIPES = {
    "imagenet": _BN_X30,
    "imagenet_x5": replace(
        _BN_X30,
        where="section 4.2, BN-x5: 73.0 % (Figure 3)",
        optimizer=replace(_BN_X30.optimizer, lr=0.0075),  # 5 times 0.0015
    ),
}
