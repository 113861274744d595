"""How MobileNets were trained: section 3.2, which refers to Inception-v3 for the rest.

Run: convatlas train mobilenet_v1 --data folder:PATH --recipe imagenet    # 70.6 % top-1 (Table 4)
"""

from convatlas.data.augment import Flip, RandomCrop, ScaleJitter
from convatlas.recipe import Recipe, RMSProp
from convatlas.schedules import Steps

RECIPES = {
    "imagenet": Recipe(
        where="section 3.2; Szegedy et al. 2015 (1512.00567), section 8; tensorflow/models, slim",
        batch_size=32,  # 1512.00567, section 8: of each of 50 replicas
        epochs=100,  # 1512.00567, section 8
        optimizer=RMSProp(
            lr=0.045,  # 1512.00567, section 8
            decay=0.9,  # 1512.00567, section 8
            momentum=0.9,  # slim/train_image_classifier.py
            eps=1.0,  # 1512.00567, section 8
            weight_decay=4e-5,  # slim/nets/mobilenet_v1.py
        ),
        schedule=Steps(epochs=tuple(range(2, 100, 2)), factor=0.94),  # 1512.00567, section 8
        # section 3.2: small crops are limited; no label smoothing, no side heads
        augment=(ScaleJitter(256, 320), RandomCrop(), Flip()),
        resize_shorter=256,  # then the centre 224x224, that is 87.5 % (slim)
        deviations=(
            "One process: the paper's RMSProp is asynchronous, over the replicas of Inception-v3.",
            "The depthwise filters decay like all weights; section 3.2 asks for very little or no "
            "decay there, and the authors' code has none.",
            "The paper gives no range for its crops: here they are 224 pixels of a shorter side "
            "of 256 to 320, in their own proportions and colours.",
        ),
    ),
}
