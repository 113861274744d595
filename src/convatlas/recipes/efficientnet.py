"""How EfficientNets were trained: section 5.2, and the authors' code (tensorflow/tpu).

Run: convatlas train efficientnet_b0 --data folder:PATH --recipe imagenet    # 77.1 % (Table 2)
"""

from convatlas.data.augment import Flip, RandomCrop, ScaleJitter
from convatlas.recipe import Recipe, RMSProp
from convatlas.schedules import Steps, Warmup

_WARMUP = 5  # epochs (main.py)

RECIPES = {
    "imagenet": Recipe(
        where="section 5.2; tensorflow/tpu, models/official/efficientnet/main.py",
        batch_size=4096,  # the rate is 0.016 for each 256 images (main.py)
        epochs=350,  # main.py
        optimizer=RMSProp(
            lr=0.256,  # section 5.2
            decay=0.9,  # section 5.2
            momentum=0.9,  # section 5.2
            eps=1e-3,  # utils.py
            weight_decay=1e-5,  # section 5.2
        ),
        # section 5.2: x 0.97 every 2.4 epochs, counted from the start of the warm-up
        schedule=Warmup(
            epochs=_WARMUP,
            then=Steps(
                epochs=tuple(round(2.4 * k - _WARMUP, 1) for k in range(1, 146)), factor=0.97
            ),
        ),
        augment=(ScaleJitter(256, 480), RandomCrop(), Flip()),
        label_smoothing=0.1,  # main.py
        ema=0.9999,  # main.py
        resize_shorter=256,  # resolution + 32 (preprocessing.py): here B0's
        deviations=(
            "Crops keep their proportions; the authors' cover 8 to 100 % of an image in other "
            "proportions too, and AutoAugment (section 5.2) follows, which is missing here.",
            "resize_shorter is that of B0; another network takes its resolution + 32.",
            "Batch norm decays like all weights; in the authors' code it doesn't.",
            "The weights are those of the last epoch; the paper stops early on 25,000 held-out "
            "images (section 5.2).",
            "RMSProp starts its mean square at 0 and adds eps outside the root; TensorFlow's "
            "starts at 1 and adds it inside.",
        ),
    ),
}
