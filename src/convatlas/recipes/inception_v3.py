"""How Inception-v3 was trained: sections 4, 7 and 8.

Run: convatlas train inception_v3 --data folder:PATH --recipe imagenet    # 78.8 % (Table 3)
"""

from convatlas.data.augment import AreaCrop, ColorJitter, Flip
from convatlas.recipe import Recipe, RMSProp
from convatlas.schedules import Exponential

TF_SLIM = "tensorflow/models, slim: preprocessing/inception_preprocessing.py"

# light, contrast, saturation and hue of TF-slim, which adds up to 32/255 of light
DISTORTED = (
    AreaCrop(),
    Flip(),
    ColorJitter(brightness=32 / 255, contrast=0.5, saturation=0.5, hue=0.2),
)

RECIPES = {
    "imagenet": Recipe(
        where="section 8",
        batch_size=32,  # of each of 50 replicas
        epochs=100,
        optimizer=RMSProp(lr=0.045, decay=0.9, eps=1.0, weight_decay=4e-5, form="tensorflow"),
        schedule=Exponential(0.94, every=2),
        augment=DISTORTED,
        label_smoothing=0.1,
        sides=True,
        clip_norm=2.0,
        ema=0.9999,
        resize_shorter=342,  # then the centre 299x299, that is 87.5 %
        sources=(
            ("optimizer.weight_decay", "tensorflow/models, slim: nets/inception_v3.py"),
            ("augment", TF_SLIM),
            ("label_smoothing", "section 7"),
            ("sides", "section 4: one, with batch norm; its weight: TF-slim"),
            ("ema", "section 8: an average over time; its decay: TF-slim"),
            ("resize_shorter", TF_SLIM),
        ),
        deviations=(
            "One machine, or several in step; section 8: 50 replicas, asynchronous.",
            "Light is multiplied in the distortions; TF-slim adds it.",
        ),
    ),
}
