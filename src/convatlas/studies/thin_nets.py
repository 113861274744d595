"""The deep and thin networks for CIFAR-10 that several studies take, at both scales."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from convatlas.catalog import build
from convatlas.recipe import SGD, Recipe
from convatlas.studies.images import Subset
from convatlas.studies.lab import Lab, Make, Trained, training_case
from convatlas.studies.small_nets import small_recipe
from convatlas.studies.study import Case, Scale

WIDTHS = (8, 16, 32)  # half of the papers'
CLASSES = 10


def thin_recipe(epochs: int) -> Recipe:
    """Give the optimizer of the papers for minutes; deep networks need a low rate at first."""
    optimizer = SGD(0.05, momentum=0.9, weight_decay=1e-4)
    return small_recipe(epochs, optimizer, where="our own: the papers' optimizer, for minutes")


def difference(each: int, epochs: int) -> str:
    """Say how the small scale differs from the papers."""
    return (
        f"Half the channels, images of 16x16 pixels without augmentation, {10 * each:,} of 50,000 "
        f"of them for {epochs} epochs, in steps of 32 images with a rate that rises for one epoch "
        "and then falls as a cosine does; 2,000 test images."
    )


def thin_case(
    scale: Scale,
    name: str,
    network: str,
    paper_recipe: Recipe,
    *,
    each: int,
    epochs: int,
    also: Callable[[Trained, Lab], Mapping[str, Any]] = lambda *_: {},
    **overrides: Any,
) -> Case:
    """Give the case of a network of the catalog: half as wide at the small scale.

    Args:
        scale: "small", or "paper": the network, the recipe and all images as in the paper.
        name: Of the case.
        network: A name of the catalog.
        paper_recipe: How the paper trained it.
        each: Training images of a class at the small scale.
        epochs: Likewise.
        also: As in `training_case`.
        overrides: Fields of the network's spec.
    """
    make = thin_network(scale, network, **overrides)
    recipe = paper_recipe if scale == "paper" else thin_recipe(epochs)
    return training_case(name, make, recipe, thin_images(scale, each), also=also)


def thin_network(scale: Scale, network: str, **overrides: Any) -> Make:
    """Give what builds a network of the catalog: half as wide at the small scale."""
    narrow = {"widths": WIDTHS} if scale == "small" else {}
    return partial(build, network, CLASSES, **narrow, **overrides)


def thin_images(scale: Scale, each: int) -> Subset:
    """Give all images, or `each` training images of a class and 200 for the test, of 16x16."""
    if scale == "paper":
        return Subset("cifar10", None, None, None)
    return Subset("cifar10", each, 20, 200, 16)
