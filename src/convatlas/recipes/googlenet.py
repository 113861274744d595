"""How GoogLeNet was trained: section 6, and the replica of BVLC/caffe (models/bvlc_googlenet).

Run: convatlas train googlenet --data folder:PATH --recipe imagenet    # 89.93 % top-5 (Table 3)
"""

from convatlas.data.augment import AreaCrop, ColorJitter, Flip, PcaColor, RandomCrop, Resize
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import Exponential, Polynomial

_SOLVER = "BVLC/caffe, models/bvlc_googlenet, solver.prototxt: the paper prints none"

RECIPES = {
    "imagenet": Recipe(
        where="section 6",
        batch_size=32,
        epochs=250,  # 10,000,000 iterations
        optimizer=SGD(lr=0.01, momentum=0.9, weight_decay=2e-4),
        schedule=Exponential(0.96, every=8),
        augment=(
            AreaCrop(
                area=(0.08, 1.0),
                aspect=(3 / 4, 4 / 3),
                interpolations=("bilinear", "area", "nearest", "bicubic"),
            ),
            Flip(),
            # Howard (2013), whom section 6 names: contrast, brightness, colour, then Krizhevsky's
            ColorJitter(brightness=0.5, contrast=0.5, saturation=0.5),
            PcaColor(std=0.1),
        ),
        sides=True,  # each 0.3 of the loss
        ema=0.9999,
        resize_shorter=256,
        sources=(
            ("batch_size", _SOLVER),
            ("epochs", _SOLVER),
            ("optimizer", _SOLVER),
            ("optimizer.momentum", "section 6"),
            ("augment", "section 6; photometry: Howard 2013 (1312.5402)"),
            ("sides", "section 5: weight 0.3, dropped afterwards"),
            ("ema", "section 6: Polyak averaging; the decay is our own"),
            ("resize_shorter", "section 7: the smallest of its four scales"),
        ),
        deviations=(
            "The average forgets old weights exponentially; section 6 names Polyak averaging "
            "without a window.",
            "One machine, or several in step; section 6: many, asynchronous.",
            "Test images are one centre crop; section 7 averages 144.",
        ),
    ),
    "caffe_quick": Recipe(
        where="BVLC/caffe, models/bvlc_googlenet: 68.7 % top-1, 88.9 % top-5, one crop",
        batch_size=32,
        epochs=60,  # 2,400,000 iterations
        optimizer=SGD(lr=0.01, momentum=0.9, weight_decay=2e-4, form="caffe"),
        schedule=Polynomial(epochs=60, power=0.5),
        undecayed=("biases",),
        bias_rate=2.0,
        augment=(Resize(side=256), RandomCrop(), Flip()),
        sides=True,
        resize_shorter=256,
        deviations=("Test images keep their proportions; Caffe stretches them to 256x256, too.",),
    ),
}
