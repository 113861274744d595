"""How LeNet-5 was trained: sections III-A to III-C and appendix C.

Run: convatlas train lenet5_modern --data digits            # 99.3 % in seconds, embedded digits
     convatlas train lenet5 --data mnist --recipe mnist     # 99.3 % in minutes
     convatlas train lenet5 --data mnist --recipe paper     # 0.95 % test error in the paper
"""

from dataclasses import replace

from convatlas.data.augment import Affine, Resize
from convatlas.recipe import SGD, Adam, DiagonalLM, Recipe
from convatlas.schedules import Cosine, Levels, Warmup

_PAPER = Recipe(
    where="section III-B: the 60,000 images of MNIST, one at a time; 0.95 % test error",
    batch_size=1,
    epochs=20,
    optimizer=DiagonalLM(lr=0.0005, mu=0.02, samples=500),  # the rate of passes 1 and 2
    # passes 1-2: 0.0005, 3-5: 0.0002, 6-8: 0.0001, 9-12: 0.00005, 13-20: 0.00001
    schedule=Levels(until=(2, 5, 8, 12, 20), factors=(1.0, 0.4, 0.2, 0.1, 0.02)),
    network=(("init", "paper_root"),),
    loss="lenet5_map",
    sources=(
        ("loss", "section II-C, equation 9"),
        ("optimizer", "section III-B and appendix C"),
        ("network", "our own reading of appendix A"),
    ),
    deviations=(
        "First weights are drawn from +-2.4 / sqrt(F), F being the inputs of a unit; appendix A "
        "prints 2.4 / F. With that, the curvature before the first pass gives 98 in 100 weights "
        "rates of 0.01 to 0.025, and F6 saturates within five steps; with the root they are "
        "0.00006 to 0.016. Section III-B prints 0.00007 to 0.016.",
        "The curvature begins with the 2 of the distance to the right code; the paper does not say "
        "how it differentiates equation 9, whose second term takes that away as it learns.",
    ),
)

_DISTORTED = Affine(degrees=8, translate=0.06, scale=(0.92, 1.08), shear=6)

RECIPES = {
    "mnist": Recipe(
        where="our own, for lenet5 and lenet5_dense_c3 on a CPU; chosen on validation images",
        batch_size=64,
        epochs=12,
        # ten times this rate and the squared distances drive F6 into saturation
        optimizer=SGD(lr=0.002, momentum=0.9),
        schedule=Cosine(epochs=12),
        augment=(Resize(), _DISTORTED),
        loss="lenet5_map",
        sources=(("loss", "section II-C, equation 9"),),
    ),
    "mnist_modern": Recipe(
        where="our own, for lenet5_modern and lenet_caffe on a CPU",
        batch_size=64,
        epochs=12,
        optimizer=SGD(lr=0.02, momentum=0.9, weight_decay=1e-4),
        schedule=Cosine(epochs=12),
        augment=(Resize(), _DISTORTED),
    ),
    # lenet5_modern: 99.4 % of the training and validation images, each held out once
    "digits": Recipe(
        where="our own, for the 1,257 embedded digits; chosen by eightfold cross-validation",
        batch_size=64,
        epochs=16,
        optimizer=Adam(lr=0.006),
        schedule=Warmup(epochs=1, then=Cosine(epochs=15)),
        augment=(Resize(), Affine(degrees=10, translate=0.08, scale=(0.9, 1.1), shear=10)),
        label_smoothing=0.1,
    ),
    "paper": _PAPER,
    "paper_distorted": replace(
        _PAPER,
        where="section III-B: nine distorted copies of each image added; 0.8 % test error",
        epochs=200,  # 20 passes over ten times as many images
        schedule=Levels(until=(20, 50, 80, 120, 200), factors=(1.0, 0.4, 0.2, 0.1, 0.02)),
        augment=(Affine(translate=0.1, scale=(0.85, 1.15), shear=15.0),),
        deviations=(
            *_PAPER.deviations,
            "The paper does not print how far it moves, scales and shears; it also squeezes, and "
            "keeps each image once as it is.",
        ),
    ),
}
