"""How Inception-v4 was trained: section 4.

Run: convatlas train inception_v4 --data folder:PATH --recipe imagenet    # 80.0 % (Table 2)
"""

from convatlas.data.augment import Flip, RandomCrop, ScaleJitter
from convatlas.recipe import Recipe, RMSProp
from convatlas.schedules import Steps

_EPOCHS = 160

RECIPES = {
    "imagenet": Recipe(
        where="section 4; what it leaves open: TF-slim and the recipe of Inception-v3",
        batch_size=32,
        epochs=_EPOCHS,
        optimizer=RMSProp(
            lr=0.045,  # section 4
            decay=0.9,  # section 4
            eps=1.0,  # section 4
            weight_decay=4e-5,  # TF-slim, nets/inception_v4.py
        ),
        schedule=Steps(epochs=tuple(range(2, _EPOCHS, 2)), factor=0.94),  # section 4
        augment=(ScaleJitter(299, 640), RandomCrop(), Flip()),
        label_smoothing=0.1,  # Inception-v3, section 7
        ema=0.9999,  # section 4: an average over time; its decay: TF-slim
        resize_shorter=342,  # then the centre 299x299, that is 87.5 % (TF-slim)
        deviations=(
            "Section 4 prints neither the epochs nor the images of a step: 160 and Inception-v3's "
            "32 are ours.",
            "One process; section 4: 20 replicas, asynchronous.",
            "RMSProp adds eps outside the root; TensorFlow's adds it inside.",
            "Crops keep their proportions and their colours, and show 22 to 100 % of a square "
            "image.",
        ),
    ),
}
