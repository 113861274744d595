"""How ZFNet was trained: section 3.1.

Run: convatlas train zfnet --data folder:PATH --recipe imagenet    # 38.4 % top-1 error (Table 2)
"""

from convatlas.data.augment import CenterCrop, CornerCrop, Flip, ScaleJitter
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import OnPlateau

RECIPES = {
    "imagenet": Recipe(
        where="section 3.1",
        batch_size=128,
        epochs=70,
        optimizer=SGD(lr=1e-2, momentum=0.9, weight_decay=5e-4, form="caffe"),
        schedule=OnPlateau(factor=0.1, max_drops=3),
        # ten views: corners and centre of the middle 256x256, and their mirror images
        augment=(ScaleJitter(256, 256), CenterCrop(256), CornerCrop(), Flip()),
        filter_limit=0.1,
        resize_shorter=256,
        sources=(
            ("optimizer.weight_decay", "AlexNet, section 5: this paper prints none"),
            ("optimizer.form", "AlexNet, section 5, on whose code this paper builds"),
            ("schedule", "section 3.1: by hand, when the validation error stops falling"),
            ("schedule.patience", "our own"),
            ("schedule.factor", "AlexNet, section 5: this paper does not say how far"),
            ("schedule.max_drops", "AlexNet, section 5: this paper does not say how often"),
        ),
        deviations=(
            "A plateau is five epochs without a lower validation error; the paper's eye decided.",
            "A mean and a deviation a channel are taken off; the paper subtracts a mean image.",
            "The limit of 0.1 holds for pixels whose deviation is 1; those of the paper go from "
            "-128 to 128, and a filter that answers them as strongly is some sixty times smaller.",
            "Test images are one centre crop; Table 2 averages ten.",
        ),
    ),
}
