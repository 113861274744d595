"""How EfficientNets were trained: section 5.2, and the authors' code (tensorflow/tpu).

Run: convatlas train efficientnet_b0 --data folder:PATH --recipe imagenet       # 77.1 % (Table 2)
     convatlas train efficientnet_b3 --data folder:PATH --recipe imagenet_b3    # 81.6 %
"""

from dataclasses import replace

from convatlas.data.augment import AreaCrop, AutoAugment, Flip
from convatlas.recipe import Recipe, RMSProp
from convatlas.schedules import Exponential, Warmup

_CODE = "tensorflow/tpu, models/official/efficientnet"
_WARMUP = 5

_B0 = Recipe(
    where="section 5.2",
    batch_size=4096,  # the rate is 0.016 for each 256 images
    epochs=350,
    optimizer=RMSProp(
        lr=0.256, decay=0.9, momentum=0.9, eps=1e-3, weight_decay=1e-5, form="tensorflow"
    ),
    # steps of 2.4 epochs, counted from the start of the warm-up
    schedule=Warmup(_WARMUP, Exponential(0.97, every=2.4, ahead=_WARMUP)),
    undecayed=("norms",),
    augment=(AreaCrop(interpolations=("bicubic",)), Flip(), AutoAugment()),
    label_smoothing=0.1,
    ema=0.9999,
    resize_shorter=256,  # resolution + 32
    sources=(
        ("batch_size", f"{_CODE}/main.py"),
        ("epochs", f"{_CODE}/main.py"),
        ("optimizer.eps", f"{_CODE}/utils.py"),
        ("schedule.epochs", f"{_CODE}/main.py"),
        ("undecayed", f"{_CODE}/main.py"),
        ("augment", f"{_CODE}/preprocessing.py; AutoAugment: section 5.2"),
        ("label_smoothing", f"{_CODE}/main.py"),
        ("ema", f"{_CODE}/main.py"),
        ("resize_shorter", f"{_CODE}/preprocessing.py"),
    ),
    deviations=(
        "The weights are those of the last epoch; the paper stops early on 25,000 held-out "
        "images (section 5.2).",
    ),
)

# input sizes: Tan & Le 2019, the authors' code
_SIZES = {"b1": 240, "b2": 260, "b3": 300, "b4": 380, "b5": 456, "b6": 528, "b7": 600}

RECIPES = {
    "imagenet": _B0,
    **{f"imagenet_{name}": replace(_B0, resize_shorter=size + 32) for name, size in _SIZES.items()},
}
