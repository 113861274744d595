"""How ZFNet was trained: section 3.1.

Run: convatlas train zfnet --data folder:PATH --recipe imagenet    # 38.4 % top-1 error (Table 2)
"""

from convatlas.data.augment import Flip, RandomCrop, ScaleJitter
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import OnPlateau

RECIPES = {
    "imagenet": Recipe(
        where="section 3.1",
        batch_size=128,
        epochs=70,
        optimizer=SGD(lr=1e-2, momentum=0.9, weight_decay=5e-4),
        schedule=OnPlateau(),  # by hand, when the validation error stops falling
        augment=(ScaleJitter(256, 256), RandomCrop(), Flip()),
        resize_shorter=256,
        deviations=(
            "Crops come from any place; the paper's are the corners and the centre of the middle "
            "256x256, and their mirror images.",
            "A mean and a deviation a channel are taken off; the paper subtracts a mean image.",
            "The paper gives no weight decay: 5e-4 is AlexNet's.",
            "Filters are not held to a root mean square of 0.1 (`ZFNet.limit_filters`); the paper "
            "needs it for pixels of -128 to 128.",
        ),
    ),
}
