"""How SqueezeNet was trained: section 3.3.1, and the authors' solver (forresti/SqueezeNet).

Run: convatlas train squeezenet1_0 --data folder:PATH --recipe imagenet    # 57.5 % top-1 (Table 3)
"""

from convatlas.data.augment import RandomCrop, Resize
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import Polynomial

_SOLVER = "forresti/SqueezeNet, SqueezeNet_v1.0/solver.prototxt"
_NETWORK = "forresti/SqueezeNet, SqueezeNet_v1.0/train_val.prototxt"

RECIPES = {
    "imagenet": Recipe(
        where=_SOLVER,
        batch_size=512,  # 32 images, 16 times before each step
        epochs=68,  # 170,000 iterations
        optimizer=SGD(lr=0.04, momentum=0.9, weight_decay=2e-4, form="caffe"),
        schedule=Polynomial(epochs=68),
        augment=(Resize(side=256), RandomCrop()),  # no mirror images
        resize_shorter=256,  # then the centre 227x227
        sources=(
            ("optimizer.lr", "section 3.3.1"),
            ("schedule", "section 3.3.1: falls linearly"),
            ("augment", _NETWORK),
            ("resize_shorter", _NETWORK),
        ),
        deviations=(
            "Test images keep their proportions; the authors' database is stretched to 256x256.",
        ),
    ),
}
