"""The smallest networks that each recipe can be tried with."""

from convatlas.catalog import ARCHITECTURES
from convatlas.train.plan import find_recipes

# by architecture, and by the kind of images: a network, the side of its images, fields of its spec
NETWORKS = {
    "lenet5": ("lenet5_modern", 32, {}),
    "alexnet": ("alexnet", 67, {"units": 32, "input_size": 67}),
    "zfnet": ("zfnet", 48, {"units": 32, "input_size": 48}),
    "nin": ("nin_imagenet", 64, {}),
    "nin cifar": ("nin_cifar10", 32, {}),
    "vgg": ("vgg11", 32, {"input_size": 32}),
    "googlenet": ("googlenet", 48, {}),
    "bn_inception": ("bn_inception", 48, {}),
    "inception_v3": ("inception_v3", 299, {}),
    "resnet": ("resnet18", 48, {}),
    "resnet cifar": ("resnet8_cifar", 32, {}),
    "inception_v4": ("inception_v4", 139, {}),
    "inception_resnet": ("inception_resnet_v1", 139, {}),
    "squeezenet": ("squeezenet1_1", 48, {}),
    "preact_resnet": ("preact_resnet50", 48, {}),
    "preact_resnet cifar": ("preact_resnet164_cifar", 32, {}),
    "wide_resnet": ("wide_resnet18", 48, {}),
    "wide_resnet cifar": ("wide_resnet10_1_cifar", 32, {}),
    "densenet": ("densenet121", 64, {}),
    "densenet cifar": ("densenet10_k4_cifar", 32, {}),
    "resnext": ("resnext50_2x4d", 48, {}),
    "resnext cifar": ("resnext29_2x4d_cifar", 32, {}),
    "mobilenet_v1": ("mobilenet_v1_025", 48, {}),
    "efficientnet": ("efficientnet_b0", 48, {}),
    "gap_study": ("cnn_gap", 64, {}),
}
WITHOUT_LABELS = ("unet",)  # learns from masks: test_segmentation.py


def recipes():
    """Every recipe for images with labels, as (architecture, name of the recipe)."""
    for architecture in ARCHITECTURES:
        if architecture.name not in WITHOUT_LABELS:
            for recipe in find_recipes(architecture.name):
                yield architecture.name, recipe


def network_of(architecture, recipe_name):
    """Give the network, the side of its images and the fields of its spec for a recipe."""
    recipe = find_recipes(architecture)[recipe_name]
    small = "cifar" in recipe_name or recipe_name == "svhn"
    name, side, fields = NETWORKS[f"{architecture} cifar" if small else architecture]
    if recipe.loss == "lenet5_map":
        name = "lenet5"
    if recipe.sides:
        fields = {**fields, "sides": True}
        if architecture == "googlenet":
            fields["side_pool"] = "adaptive"  # for maps that are too small for the paper's
    return name, side, {**fields, **dict(recipe.network)}
