"""How Inception-v3 was trained: sections 7 and 8.

Run: convatlas train inception_v3 --data folder:PATH --recipe imagenet    # 78.8 % (Table 3)
"""

from convatlas.data.augment import Flip, RandomCrop, ScaleJitter
from convatlas.recipe import Recipe, RMSProp
from convatlas.schedules import Steps

_EPOCHS = 100  # section 8

RECIPES = {
    "imagenet": Recipe(
        where="sections 7 and 8; weight decay and averaging: the authors' TF-slim",
        batch_size=32,  # of each replica (section 8)
        epochs=_EPOCHS,
        optimizer=RMSProp(
            lr=0.045,  # section 8
            decay=0.9,  # section 8
            eps=1.0,  # section 8
            weight_decay=4e-5,  # TF-slim, nets/inception_v3.py
        ),
        schedule=Steps(epochs=tuple(range(2, _EPOCHS, 2)), factor=0.94),  # section 8
        augment=(ScaleJitter(299, 640), RandomCrop(), Flip()),
        label_smoothing=0.1,  # section 7
        ema=0.9999,  # section 8: an average over time; its decay: TF-slim
        resize_shorter=342,  # then the centre 299x299, that is 87.5 % (TF-slim)
        deviations=(
            "The side classifier is left out: the loss of a recipe sees one output. A network "
            "built with sides=True gives its logits in forward_with_sides.",
            "Gradients are not clipped; section 8 clips them at 2.0.",
            "One process; section 8: 50 replicas, asynchronous.",
            "RMSProp adds eps outside the root; TensorFlow's adds it inside.",
            "Crops keep their proportions and their colours, and show 22 to 100 % of a square "
            "image; the paper takes those of GoogLeNet.",
        ),
    ),
}
