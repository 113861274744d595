"""How GoogLeNet was trained: section 6, and the replica of BVLC/caffe (models/bvlc_googlenet).

Run: convatlas train googlenet --data folder:PATH --recipe imagenet    # 89.93 % top-5 (Table 3)
"""

from convatlas.data.augment import Flip, PcaColor, RandomCrop, ScaleJitter
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import Levels, Steps

_EPOCHS = 250  # 10,000,000 iterations of 32 images (solver.prototxt)
_QUICK_EPOCHS = 60  # 2,400,000 iterations (quick_solver.prototxt)
_NO_SIDES = (
    "The side classifiers are left out: the loss of a recipe sees one output. A network built with "
    "sides=True gives theirs in forward_with_sides."
)

RECIPES = {
    "imagenet": Recipe(
        where="section 6; what it leaves open: solver.prototxt of BVLC/caffe bvlc_googlenet",
        batch_size=32,  # solver.prototxt
        epochs=_EPOCHS,
        optimizer=SGD(
            lr=0.01,  # solver.prototxt
            momentum=0.9,  # section 6
            weight_decay=2e-4,  # solver.prototxt
        ),
        schedule=Steps(epochs=tuple(range(8, _EPOCHS, 8)), factor=0.96),  # section 6
        augment=(ScaleJitter(224, 480), RandomCrop(), Flip(), PcaColor(std=0.1)),
        ema=0.9999,  # Polyak averaging (section 6)
        resize_shorter=256,
        deviations=(
            _NO_SIDES,
            "Crops keep their proportions and show 22 to 100 % of a square image; section 6: 8 to "
            "100 %, in proportions from 3:4 to 4:3.",
            "Colours are shifted as in Krizhevsky et al. 2012; section 6 distorts them as Howard "
            "(2013) does.",
            "The average forgets old weights exponentially; section 6 names Polyak averaging "
            "without a window.",
            "One process; section 6: asynchronous, on many machines.",
            "Test images are one centre crop; section 7 averages 144.",
        ),
    ),
    "caffe_quick": Recipe(
        where="BVLC/caffe, models/bvlc_googlenet: 68.7 % top-1, 88.9 % top-5, one crop",
        batch_size=32,
        epochs=_QUICK_EPOCHS,
        optimizer=SGD(lr=0.01, momentum=0.9, weight_decay=2e-4),
        # (1 - progress) ^ 0.5, one step an epoch
        schedule=Levels(
            until=tuple(float(epoch + 1) for epoch in range(_QUICK_EPOCHS)),
            factors=tuple(
                (1 - (epoch + 0.5) / _QUICK_EPOCHS) ** 0.5 for epoch in range(_QUICK_EPOCHS)
            ),
        ),
        augment=(ScaleJitter(256, 256), RandomCrop(), Flip()),
        resize_shorter=256,
        deviations=(
            _NO_SIDES,
            "The rate falls once an epoch; Caffe's falls at every step.",
            "Biases learn at the rate of the weights and decay; Caffe doubles their rate and "
            "spares them.",
            "Images keep their proportions; Caffe stretches them to 256x256.",
        ),
    ),
}
