"""How MobileNets were trained: section 3.2, which refers to Inception-v3 for the rest.

Run: convatlas train mobilenet_v1 --data folder:PATH --recipe imagenet    # 70.6 % top-1 (Table 4)
"""

from convatlas.data.augment import AreaCrop, Flip
from convatlas.recipe import Recipe, RMSProp
from convatlas.schedules import Exponential

RECIPES = {
    "imagenet": Recipe(
        where="Szegedy et al. 2015 (1512.00567), section 8, to which section 3.2 refers",
        batch_size=32,  # of each of 50 replicas
        epochs=100,
        optimizer=RMSProp(
            lr=0.045, decay=0.9, momentum=0.9, eps=1.0, weight_decay=4e-5, form="tensorflow"
        ),
        schedule=Exponential(0.94, every=2),
        undecayed=("depthwise",),
        augment=(AreaCrop(area=(0.35, 1.0)), Flip()),  # no label smoothing, no side classifiers
        resize_shorter=256,  # then the centre 224x224, that is 87.5 %
        sources=(
            ("optimizer.momentum", "tensorflow/models, slim: train_image_classifier.py"),
            ("optimizer.weight_decay", "tensorflow/models, slim: nets/mobilenet_v1.py"),
            ("undecayed", "section 3.2: very little or none on depthwise filters; slim: none"),
            ("augment", "section 3.2: small crops are limited; the 35 % are our own"),
            ("resize_shorter", "tensorflow/models, slim: inception_preprocessing.py"),
        ),
        deviations=(
            "One machine, or several in step: the paper's RMSProp is asynchronous.",
            "The paper does not say how small a crop may be: here 35 % of the image.",
        ),
    ),
}
