"""How BN-Inception was trained: section 4.2.

Run: convatlas train bn_inception --data folder:PATH --recipe imagenet    # 74.8 % (Figure 3)
"""

from dataclasses import replace

from convatlas.data.augment import AreaCrop, Flip
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import Exponential

_BN_X30 = Recipe(
    where="section 4.2, BN-x30",
    batch_size=32,
    epochs=150,  # 6 million steps to the best accuracy of BN-x30
    optimizer=SGD(lr=0.045, momentum=0.9, weight_decay=4e-5),
    schedule=Exponential(0.96, every=8 / 6),
    augment=(AreaCrop(), Flip()),
    resize_shorter=256,
    sources=(
        ("batch_size", "section 4.2"),
        ("epochs", "Figure 3"),
        ("optimizer.lr", "section 4.2.2: 30 times the 0.0015 of Inception"),
        ("optimizer.momentum", "GoogLeNet, section 6: this paper does not print it"),
        (
            "optimizer.weight_decay",
            "section 4.2.1: a fifth; of the 2e-4 of GoogLeNet's replica (BVLC/caffe)",
        ),
        ("schedule", "section 4.2.1: six times as fast as GoogLeNet's 4 % every 8 epochs"),
        ("augment", "GoogLeNet, section 6; without its photometry: section 4.2.1"),
    ),
    deviations=(
        "Photometric distortions are left out; section 4.2.1 reduces them and doesn't say how far.",
        "Every epoch has an order of its own; section 4.2.1 also keeps images of one shard apart.",
        "One machine, or several in step; section 4.2: distributed.",
    ),
)

RECIPES = {
    "imagenet": _BN_X30,
    "imagenet_x5": replace(
        _BN_X30,
        where="section 4.2, BN-x5: 73.0 % (Figure 3)",
        optimizer=replace(_BN_X30.optimizer, lr=0.0075),
        sources=(
            *_BN_X30.sources,
            ("optimizer.lr", "section 4.2.2: 5 times the 0.0015 of Inception"),
        ),
    ),
}
