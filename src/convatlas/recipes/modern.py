"""Recipes of later years for the networks of the papers: what of a figure is the training's?

Not how any of these papers trained: the same few tricks for all of them, each with its paper, so
that networks can be compared under one training. They are found beside the paper's own recipes and
are never chosen by themselves.

Run: convatlas train resnet50 --data folder:PATH --recipe modern
     convatlas train resnet20_cifar --data cifar10 --recipe modern_cifar10
"""

from collections.abc import Mapping
from dataclasses import replace

from convatlas.data.augment import AreaCrop, Flip, PadCrop, RandAugment
from convatlas.recipe import SGD, CutMix, Mixup, Recipe
from convatlas.schedules import Cosine, Warmup

_TRICKS = "He et al. 2019 (1812.01187)"  # Bag of Tricks for Image Classification
_RAND = "Cubuk et al. 2019 (1909.13719)"
_CUTMIX = "Yun et al. 2019 (1905.04899)"

_IMAGENET = Recipe(
    where=_TRICKS,
    batch_size=256,
    epochs=200,
    optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True),
    schedule=Warmup(5, Cosine(195)),
    undecayed=("biases", "norms"),
    augment=(AreaCrop(), Flip(), RandAugment(operations=2, magnitude=9)),
    mix=(Mixup(alpha=0.2), CutMix(alpha=1.0)),
    label_smoothing=0.1,
    ema=0.9999,
    resize_shorter=256,
    sources=(
        ("epochs", f"{_TRICKS}, section 5.4, with mixup"),
        ("optimizer", f"{_TRICKS}, section 2.1"),
        ("schedule", f"{_TRICKS}, sections 3.1 and 5.1"),
        ("undecayed", f"{_TRICKS}, section 3.1"),
        ("augment", f"{_TRICKS}, section 2.1; {_RAND}, ResNet-50 on ImageNet"),
        ("mix", f"{_TRICKS}, section 5.4; {_CUTMIX}; one of the two for each batch: our own"),
        ("label_smoothing", f"{_TRICKS}, section 5.2"),
        ("ema", "Tan & Le 2019 (1905.11946), their code"),
        ("resize_shorter", f"{_TRICKS}, section 2.1"),
    ),
)

# a rate of 0.1 needs batch norm: Ioffe & Szegedy 2015 (1502.03167), section 3.3
_IMAGENET_WITHOUT_NORM = replace(
    _IMAGENET,
    optimizer=replace(_IMAGENET.optimizer, lr=0.01),
    clip_norm=5.0,
    sources=(
        *_IMAGENET.sources,
        ("optimizer.lr", "that of AlexNet and VGG: there is no batch norm to bear more"),
        ("clip_norm", "our own"),
    ),
)

_CIFAR = Recipe(
    where="Zagoruyko & Komodakis 2016 (1605.07146), section 3",
    batch_size=128,
    epochs=200,
    optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True),
    schedule=Warmup(5, Cosine(195)),
    undecayed=("biases", "norms"),
    augment=(PadCrop(4, border="mirror"), Flip(), RandAugment(operations=2, magnitude=5)),
    mix=(Mixup(alpha=1.0), CutMix(alpha=1.0)),
    label_smoothing=0.1,
    ema=0.999,
    sources=(
        ("schedule", f"{_TRICKS}, sections 3.1 and 5.1"),
        ("undecayed", f"{_TRICKS}, section 3.1"),
        ("augment", f"Zagoruyko & Komodakis 2016, section 3; {_RAND}; N and M: our own"),
        (
            "mix",
            f"Zhang et al. 2018 (1710.09412), section 3.2; {_CUTMIX}; one for each batch: our own",
        ),
        ("label_smoothing", f"{_TRICKS}, section 5.2"),
        ("ema", "our own"),
    ),
)

_CIFAR_WITHOUT_NORM = replace(
    _CIFAR,
    optimizer=replace(_CIFAR.optimizer, lr=0.01),
    clip_norm=5.0,
    sources=(
        *_CIFAR.sources,
        ("optimizer.lr", "our own: there is no batch norm to bear more"),
        ("clip_norm", "our own"),
    ),
)

# inputs of 299x299: the centre 87.5 % of a shorter side of 342
_IMAGENET_299 = replace(_IMAGENET, resize_shorter=342)

# one for all of its resolutions: test images are stretched
_ANY_SIZE = {
    "modern": replace(_IMAGENET, resize_shorter=None, sources=_IMAGENET.sources[:-1]),
}
_WITH_NORM = {"modern": _IMAGENET}
_WITHOUT_NORM = {"modern": _IMAGENET_WITHOUT_NORM}
_OF_299 = {"modern": _IMAGENET_299}
_BOTH = {"modern": _IMAGENET, "modern_cifar10": _CIFAR}

# by architecture, then by the name of the recipe
RECIPES: Mapping[str, Mapping[str, Recipe]] = {
    "alexnet": _WITHOUT_NORM,
    "zfnet": _WITHOUT_NORM,
    "nin": {**_WITHOUT_NORM, "modern_cifar10": _CIFAR_WITHOUT_NORM},
    "vgg": _WITHOUT_NORM,
    "googlenet": _WITHOUT_NORM,
    "bn_inception": _WITH_NORM,
    "inception_v3": _OF_299,
    "resnet": _BOTH,
    "inception_v4": _OF_299,
    "inception_resnet": _OF_299,
    "squeezenet": _WITHOUT_NORM,
    "preact_resnet": _BOTH,
    "wide_resnet": _BOTH,
    "densenet": _BOTH,
    "resnext": _BOTH,
    "mobilenet_v1": _WITH_NORM,
    "efficientnet": _ANY_SIZE,
}
