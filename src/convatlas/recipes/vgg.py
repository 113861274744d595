"""How VGG was trained: section 3.1.

Run: convatlas train vgg16 --data folder:PATH --recipe imagenet    # 73.0 % top-1 (D, Table 3)
"""

from dataclasses import replace

from convatlas.data.augment import Augmentation, Flip, PcaColor, RandomCrop, ScaleJitter
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import OnPlateau


def _augment(least: int, most: int) -> tuple[Augmentation, ...]:
    return ScaleJitter(least, most), RandomCrop(), Flip(), PcaColor(std=0.1)


_FIXED_SCALE = Recipe(
    where="section 3.1",
    batch_size=256,
    epochs=74,  # 370K iterations
    optimizer=SGD(lr=1e-2, momentum=0.9, weight_decay=5e-4, form="caffe"),
    schedule=OnPlateau(factor=0.1, max_drops=3),
    augment=_augment(256, 256),
    resize_shorter=256,
    sources=(
        ("optimizer.form", "section 3.3: Caffe"),
        ("schedule.patience", "our own: the paper does not say how long it waited"),
        ("augment", "section 3.1, training image size: S = 256"),
        ("resize_shorter", "section 4.1: Q = S"),
    ),
    deviations=(
        "A plateau is five epochs without a lower validation error: the paper does not say.",
        "Pixels are divided by their standard deviation; the paper only subtracts the mean colour.",
        "Test images are one centre crop; Table 3 is of dense evaluation (section 3.2).",
    ),
)

RECIPES = {
    "imagenet": _FIXED_SCALE,
    "imagenet_384": replace(
        _FIXED_SCALE,
        where="section 3.1, single-scale training with S = 384",
        optimizer=SGD(lr=1e-3, momentum=0.9, weight_decay=5e-4, form="caffe"),
        augment=_augment(384, 384),
        resize_shorter=384,
        sources=(
            *_FIXED_SCALE.sources,
            ("augment", "section 3.1, training image size: S = 384"),
        ),
        deviations=(
            *_FIXED_SCALE.deviations,
            "The paper begins with the weights of a network of S = 256: give them with --weights, "
            "or train longer, for this rate is a tenth of the usual one.",
        ),
    ),
    "imagenet_jitter": replace(
        _FIXED_SCALE,
        where="section 3.1, multi-scale training with S from 256 to 512",
        augment=_augment(256, 512),
        resize_shorter=384,
        sources=(
            *_FIXED_SCALE.sources,
            ("augment", "section 3.1, training image size: S from 256 to 512"),
            ("resize_shorter", "section 4.1: Q = (256 + 512) / 2"),
        ),
        deviations=(
            *_FIXED_SCALE.deviations,
            "From fresh weights; the paper fine-tunes a network of S = 384, which --weights can "
            "give.",
        ),
    ),
}
