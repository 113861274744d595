"""How VGG was trained: section 3.1.

Run: convatlas train vgg16 --data folder:PATH --recipe imagenet    # 73.0 % top-1 (D, Table 3)
"""

from dataclasses import replace

from convatlas.data.augment import Flip, PcaColor, RandomCrop, ScaleJitter
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import OnPlateau

_FIXED_SCALE = Recipe(
    where="section 3.1, single-scale training with S = 256",
    batch_size=256,
    epochs=74,  # 370K iterations
    optimizer=SGD(lr=1e-2, momentum=0.9, weight_decay=5e-4),
    schedule=OnPlateau(factor=0.1, max_drops=3),  # the rate was cut three times
    augment=(ScaleJitter(256, 256), RandomCrop(), Flip(), PcaColor(std=0.1)),
    resize_shorter=256,  # Q = S, section 4.1
    deviations=(
        "A plateau is five epochs without a lower validation error: the paper does not say.",
        "Pixels are divided by their standard deviation; the paper only subtracts the mean colour.",
        "Test images are one centre crop; Table 3 is of dense evaluation (section 3.2).",
    ),
)

RECIPES = {
    "imagenet": _FIXED_SCALE,
    "imagenet_jitter": replace(
        _FIXED_SCALE,
        where="section 3.1, multi-scale training with S from 256 to 512",
        augment=(ScaleJitter(256, 512), RandomCrop(), Flip(), PcaColor(std=0.1)),
        resize_shorter=384,  # Q = (256 + 512) / 2, section 4.1
        deviations=(
            *_FIXED_SCALE.deviations,
            "Trained from fresh weights; the paper fine-tunes a network of S = 384.",
        ),
    ),
}
