"""How SqueezeNet was trained: section 3.3.1, and the authors' solver (forresti/SqueezeNet).

Run: convatlas train squeezenet1_0 --data folder:PATH --recipe imagenet    # 57.5 % top-1 (Table 3)
"""

from convatlas.data.augment import RandomCrop, ScaleJitter
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import Levels

_EPOCHS = 68  # 170,000 iterations of 512 images (solver.prototxt)

RECIPES = {
    "imagenet": Recipe(
        where="section 3.3.1; solver.prototxt and train_val.prototxt of forresti/SqueezeNet",
        batch_size=512,  # 32 images, 16 times before each step (solver.prototxt)
        epochs=_EPOCHS,
        optimizer=SGD(
            lr=0.04,  # section 3.3.1
            momentum=0.9,  # solver.prototxt
            weight_decay=2e-4,  # solver.prototxt
        ),
        # from 1 to 0 in a straight line (section 3.3.1), one step an epoch
        schedule=Levels(
            until=tuple(float(epoch + 1) for epoch in range(_EPOCHS)),
            factors=tuple(1 - (epoch + 0.5) / _EPOCHS for epoch in range(_EPOCHS)),
        ),
        augment=(ScaleJitter(256, 256), RandomCrop()),  # no mirror images (train_val.prototxt)
        resize_shorter=256,  # then the centre 227x227 (train_val.prototxt)
        deviations=(
            "The rate falls once an epoch, by 1/68 of its start; the authors' falls at every step.",
            "The shorter side is brought to 256 pixels; the authors' database is stretched to "
            "256x256.",
        ),
    ),
}
