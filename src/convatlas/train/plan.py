"""From names to values: which network, which images, which recipe; refused before anything runs."""

import importlib
import itertools
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from convatlas import __version__
from convatlas.catalog import find
from convatlas.data.download import Progress as DownloadProgress
from convatlas.data.preprocess import Preprocessing
from convatlas.data.sources import Source, open_source
from convatlas.errors import InputError, unknown
from convatlas.recipe import Recipe, override, to_dict
from convatlas.train.tasks import Classification, Task


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do.

    Attributes:
        name: The network.
        source: Images and their splits.
        source_text: What `open_source` was given.
        root: Where downloaded data lies.
        recipe_name: A name in the recipes of the network's architecture.
        recipe: That recipe, with the changes that were asked for.
        seed: Of the weights, the order, the augmentation and the dropout.
        preprocessing: Makes the network's input of an image.
        task: What the network is to learn from the images.
    """

    name: str
    source: Source
    source_text: str
    root: Path | None
    recipe_name: str
    recipe: Recipe
    seed: int
    preprocessing: Preprocessing
    task: Task

    @property
    def num_classes(self) -> int:
        """As many as the images have."""
        return len(self.source.card.classes)

    @property
    def in_channels(self) -> int:
        """As many as the network of the paper takes: grey and colour adapt to it."""
        return len(self.preprocessing.mean)

    def to_config(self) -> dict[str, Any]:
        """Give what `config.json` holds: all that decides the result, and the versions."""
        card, source = self.source.card, self.source
        return {
            "architecture": self.name,
            "num_classes": self.num_classes,
            "in_channels": self.in_channels,
            "overrides": {},
            "source": self.source_text,
            "root": None if self.root is None else str(self.root),
            "images": {
                "train": len(source.train),
                "val": len(source.val),
                "test": len(source.test),
            },
            "recipe_name": self.recipe_name,
            "recipe": to_dict(self.recipe),
            "seed": self.seed,
            "preprocessing": self.preprocessing.to_dict(),
            "classes": list(card.classes),
            "versions": {
                "convatlas": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }


def make_plan(
    name: str,
    source_text: str,
    *,
    recipe_name: str | None = None,
    seed: int = 0,
    epochs: int | None = None,
    changes: Mapping[str, Any] | None = None,
    root: Path | None = None,
    download: DownloadProgress | None = None,
) -> Plan:
    """Find all that a run needs.

    Args:
        name: A network; it takes as many classes as the source has, and its paper's input.
        source_text: What `convatlas.data.sources.open_source` takes.
        recipe_name: None: see `choose_recipe`.
        seed: 0 or more.
        epochs: Train for so many, the schedule stretched to match; None: as the recipe says.
        changes: Fields of the recipe by dotted name, set after `epochs`.
        root: Where downloaded data lies.
        download: Told of the images' way here.

    Raises:
        UnknownNameError: No such network, source, recipe, field or loss.
        InputError: A value that can't be trained with.
        FileError: The images can't be read.
    """
    if not 0 <= seed < 2**63:
        raise InputError(f"seed must be between 0 and 2**63 - 1, not {seed}")
    architecture, variant = find(name)
    recipes = find_recipes(architecture.name)
    if recipe_name is None:
        recipe_name = choose_recipe(name, source_text)
    elif recipe_name not in recipes:
        raise unknown(f"recipe of {architecture.name}", recipe_name, recipes)
    recipe = recipes[recipe_name]
    if epochs is not None:
        recipe = recipe.lasting(epochs)
    recipe = override(recipe, dict(changes or {}))
    source = open_source(source_text, root=root, progress=download)
    for split in ("train", "val", "test"):
        if not len(getattr(source, split)):
            raise InputError(f"{source_text} has no images in its {split} split")
    preprocessing = source.card.preprocessing(variant.input_shape, recipe.resize_shorter)
    task = Classification(preprocessing, source.card.classes)
    task.check(recipe)
    return Plan(name, source, source_text, root, recipe_name, recipe, seed, preprocessing, task)


def find_recipes(architecture: str) -> Mapping[str, Recipe]:
    """Give the recipes of an architecture, by name, in the order of their file.

    Raises:
        InputError: Nobody has written one.
    """
    module = f"convatlas.recipes.{architecture}"
    try:
        return importlib.import_module(module).RECIPES
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise InputError(f"there is no recipe for {architecture} yet") from error


def choose_recipe(name: str, source_text: str) -> str:
    """Choose a recipe when nobody has: by the images, by the network, or the first.

    1. One that is called like the images: for `mnist` and `lenet5_modern`, `mnist_modern` or else
       `mnist`.
    2. One that is called like the network: for `lenet5_modern`, one that ends in `_modern`.
    3. One for the images that the network was published for: for a network of 1,000 classes,
       `imagenet`; for `resnet20_cifar`, one that begins with `cifar`.
    4. The first in the file.

    Args:
        name: The network.
        source_text: What `convatlas.data.sources.open_source` takes.

    Raises:
        UnknownNameError: There is no such network.
        InputError: Nobody has written a recipe for it.
    """
    architecture, variant = find(name)
    recipes = find_recipes(architecture.name)
    last = name.rpartition("_")[2]
    published = "imagenet" if variant.num_classes == 1000 else last
    return next(
        itertools.chain(
            (recipe for recipe in (f"{source_text}_{last}", source_text) if recipe in recipes),
            (recipe for recipe in recipes if recipe.endswith(f"_{last}")),
            (recipe for recipe in recipes if recipe.startswith(published)),
            recipes,
        )
    )
