"""From names to values: which network, which images, which recipe; refused before anything runs."""

import importlib
import itertools
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convatlas import __version__
from convatlas.catalog import build, find, input_shape_of, spec_of
from convatlas.data.download import Progress as DownloadProgress
from convatlas.data.jpeg import decoders
from convatlas.data.manifest import fingerprint
from convatlas.data.packed import origin_of, packing_told
from convatlas.data.preprocess import Preprocessing
from convatlas.data.segmentation import SegmentationSource, is_segmentation, open_segmentation
from convatlas.data.sources import Source, open_source
from convatlas.errors import InputError, unknown
from convatlas.recipe import Recipe, override, to_dict
from convatlas.recipes import modern
from convatlas.train.finetuning import FINETUNE, FINETUNE_NAME, FRESH, Donor, Start
from convatlas.train.segmentation import check_classifier, make_segmentation
from convatlas.train.tasks import Classification, Task

_ALIKE = {"cifar100": "cifar10"}  # images that the papers train on alike


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
        overrides: Fields of the network's spec that differ from the variant's.
        start: What the network begins with.
        donor: The network whose weights it begins with; None: none.
    """

    name: str
    source: Source | SegmentationSource
    source_text: str
    root: Path | None
    recipe_name: str
    recipe: Recipe
    seed: int
    preprocessing: Preprocessing
    task: Task
    overrides: dict[str, Any]
    start: Start
    donor: Donor | None

    @property
    def num_classes(self) -> int:
        """As many as the images have."""
        return len(self.source.card.classes)

    @property
    def in_channels(self) -> int:
        """As many as the network of the paper takes: grey and colour adapt to it."""
        return len(self.preprocessing.mean)

    def first_network(self) -> nn.Module:
        """Build the network as it is before the first step, side classifiers and all."""
        torch.manual_seed(self.seed)
        sides = {"sides": True} if self.recipe.sides else {}
        model = build(self.name, self.num_classes, self.in_channels, **self.overrides, **sides)
        if self.donor is not None:
            self.donor.give(model)
        return model

    def final_network(self, trained: nn.Module) -> nn.Module:
        """Give the network that is kept: without the side classifiers, as the papers test it."""
        if not self.recipe.sides:
            return trained
        with torch.random.fork_rng(devices=()):
            model = build(self.name, self.num_classes, self.in_channels, **self.overrides)
        state = trained.state_dict()
        model.load_state_dict({key: state[key] for key in model.state_dict()})
        return model

    def to_config(self) -> dict[str, Any]:
        """Give what `config.json` holds: all that decides the result, and the versions."""
        card, source = self.source.card, self.source
        splits = {"train": source.train, "val": source.val, "test": source.test}
        return {
            "architecture": self.name,
            "num_classes": self.num_classes,
            "in_channels": self.in_channels,
            "overrides": self.overrides,
            "source": self.source_text,
            "root": None if self.root is None else str(self.root),
            "images": {name: len(split) for name, split in splits.items()},
            "manifest": {name: fingerprint(split) for name, split in splits.items()},
            "recipe_name": self.recipe_name,
            "recipe": to_dict(self.recipe),
            "seed": self.seed,
            "start": self.start.to_config(),
            "preprocessing": self.preprocessing.to_dict(),
            "classes": list(card.classes),
            "versions": {
                "convatlas": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
                **decoders(),
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
    overrides: Mapping[str, Any] | None = None,
    root: Path | None = None,
    start: Start = FRESH,
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
        overrides: Fields of the network's spec, such as `{"width": 16}`.
        root: Where downloaded data lies.
        start: What the network begins with.
        download: Told of the way of images and weights here.

    Raises:
        UnknownNameError: No such network, source, recipe, field or loss.
        InputError: A value that can't be trained with.
        FileError: The images or the weights can't be read.
    """
    if not 0 <= seed < 2**63:
        raise InputError(f"seed must be between 0 and 2**63 - 1, not {seed}")
    _, variant = find(name)
    recipe_name, recipe = _chosen(name, origin_of(source_text, root), recipe_name, start)
    if epochs is not None:
        recipe = recipe.lasting(epochs)
    recipe = override(recipe, dict(changes or {}))
    if recipe.sides and not hasattr(variant.spec, "sides"):
        raise InputError(f"{name} has no side classifiers: set sides=false")
    donor = None if start.weights is None else Donor.read(name, start.weights, download)
    fields = (donor.overrides if donor else {}) | dict(recipe.network) | dict(overrides or {})
    spec, shape = spec_of(name, **fields), input_shape_of(name, **fields)
    source = _open(source_text, root, download)
    for split in ("train", "val", "test"):
        if not len(getattr(source, split)):
            raise InputError(f"{source_text} has no images in its {split} split")
    if isinstance(source, SegmentationSource):
        task = make_segmentation(name, spec, source, shape[1:], recipe)
    else:
        check_classifier(name, spec)
        preprocessing = source.card.preprocessing(shape, recipe.resize_shorter)
        if donor is not None and donor.preprocessing is not None:
            if "resize_shorter" in (changes or {}):
                raise InputError(
                    f"resize_shorter can't be set with --weights {start.weights}: images are "
                    "brought to the network as they were when it learnt these"
                )
            preprocessing = donor.preprocessing  # it has learnt to see through these eyes
        task = Classification(preprocessing, source.card.classes)
        task.check(recipe)
        told = packing_told(source.card, preprocessing, recipe.augment)
        recipe = replace(recipe, deviations=(*recipe.deviations, *told))
    return Plan(
        name=name,
        source=source,
        source_text=source_text,
        root=root,
        recipe_name=recipe_name,
        recipe=recipe,
        seed=seed,
        preprocessing=task.preprocessing,
        task=task,
        overrides={key: getattr(spec, key) for key in fields},
        start=start,
        donor=donor,
    )


def _chosen(
    name: str, source_text: str, recipe_name: str | None, start: Start
) -> tuple[str, Recipe]:
    """Give the recipe of that name, or one that suits the images and the start."""
    architecture, _ = find(name)
    if recipe_name is None and start.weights is not None:
        recipe_name = FINETUNE_NAME
    if recipe_name == FINETUNE_NAME:
        return FINETUNE_NAME, FINETUNE
    recipes = find_recipes(architecture.name)
    if recipe_name is None:
        recipe_name = choose_recipe(name, source_text)
    if recipe_name not in recipes:
        raise unknown(f"recipe of {architecture.name}", recipe_name, [*recipes, FINETUNE_NAME])
    return recipe_name, recipes[recipe_name]


def _open(
    text: str, root: Path | None, download: DownloadProgress | None
) -> Source | SegmentationSource:
    if is_segmentation(text):
        return open_segmentation(text, root=root)
    return open_source(text, root=root, progress=download)


def find_recipes(architecture: str) -> Mapping[str, Recipe]:
    """Give the recipes of an architecture, by name: those of its file, then the modern ones.

    Raises:
        InputError: Nobody has written one.
    """
    module = f"convatlas.recipes.{architecture}"
    try:
        recipes = importlib.import_module(module).RECIPES
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise InputError(f"there is no recipe for {architecture} yet") from error
    return {**recipes, **modern.RECIPES.get(architecture, {})}


def choose_recipe(name: str, source_text: str) -> str:
    """Choose a recipe when nobody has: by the images, by the network, or the first.

    1. One that is called like the images: for `mnist` and `lenet5_modern`, `mnist_modern` or else
       `mnist`; for `cifar10` and `resnet110_cifar`, `cifar10_110` or else `cifar10`, which is
       for `cifar100` too.
    2. One that is called like the network: for `lenet5_modern`, one that ends in `_modern`; for
       `densenet264`, one that ends in `_264`.
    3. One for the images that the network was published for: for a network of 1,000 classes,
       `imagenet`; for `resnet20_cifar`, one that begins with `cifar`.
    4. The first in the file.

    Modern recipes are for those who ask for them.

    Args:
        name: The network.
        source_text: What `convatlas.data.sources.open_source` takes.

    Raises:
        UnknownNameError: There is no such network.
        InputError: Nobody has written a recipe for it.
    """
    architecture, variant = find(name)
    named = modern.RECIPES.get(architecture.name, {})
    recipes = [recipe for recipe in find_recipes(architecture.name) if recipe not in named]
    last = name.rpartition("_")[2]
    ends = tuple(f"_{word}" for word in (last, *re.findall(r"\d+", name)))
    published = "imagenet" if variant.num_classes == 1000 else last
    images = _ALIKE.get(source_text, source_text)
    called = (*(f"{images}{end}" for end in ends), images)
    return next(
        itertools.chain(
            (recipe for recipe in called if recipe in recipes),
            (recipe for recipe in recipes if recipe.endswith(ends)),
            (recipe for recipe in recipes if recipe.startswith(published)),
            recipes,
        )
    )
