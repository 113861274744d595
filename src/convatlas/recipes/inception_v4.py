"""How Inception-v4 was trained: section 4.

Run: convatlas train inception_v4 --data folder:PATH --recipe imagenet    # 80.0 % (Table 2)
"""

from convatlas.recipe import Recipe, RMSProp
from convatlas.recipes.inception_v3 import DISTORTED, TF_SLIM
from convatlas.schedules import Exponential

RECIPES = {
    "imagenet": Recipe(
        where="section 4",
        batch_size=32,
        epochs=160,
        optimizer=RMSProp(lr=0.045, decay=0.9, eps=1.0, weight_decay=4e-5, form="tensorflow"),
        schedule=Exponential(0.94, every=2),
        augment=DISTORTED,
        label_smoothing=0.1,
        ema=0.9999,
        resize_shorter=342,  # then the centre 299x299, that is 87.5 %
        sources=(
            ("batch_size", "Inception-v3, section 8: this paper prints none"),
            ("epochs", "our own: this paper prints none"),
            ("optimizer.weight_decay", "tensorflow/models, slim: nets/inception_v4.py"),
            ("augment", TF_SLIM),
            ("label_smoothing", "Inception-v3, section 7"),
            ("ema", "section 4: an average over time; its decay: TF-slim"),
            ("resize_shorter", TF_SLIM),
        ),
        deviations=(
            "Section 4 prints neither the epochs nor the images of a step: 160 and Inception-v3's "
            "32 are ours.",
            "One machine, or several in step; section 4: 20 replicas, asynchronous.",
            "Light is multiplied in the distortions; TF-slim adds it.",
        ),
    ),
}
