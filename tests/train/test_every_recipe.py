"""Every recipe of every architecture takes two steps of the real loop, on made-up images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from recipe_networks import network_of, recipes

from convatlas.catalog import build, find
from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import ArraySplit
from convatlas.recipe import Recipe
from convatlas.train.loop import Data, fit
from convatlas.train.plan import find_recipes
from convatlas.train.state import State
from convatlas.train.tasks import Classification

# some for each architecture that is small enough; the others take a second to ten
QUICK = (
    *("lenet5-digits", "lenet5-paper", "alexnet-imagenet", "zfnet-imagenet", "nin-cifar10"),
    *("googlenet-caffe_quick", "bn_inception-imagenet", "resnet-cifar10", "resnet-modern_cifar10"),
    *("squeezenet-imagenet", "preact_resnet-cifar10", "wide_resnet-cifar10_dropout"),
    *("densenet-cifar10", "resnext-cifar10", "mobilenet_v1-imagenet", "mobilenet_v1-modern"),
    *("efficientnet-imagenet", "gap_study-mnist"),
)


def cases():
    for architecture, recipe in recipes():
        case = f"{architecture}-{recipe}"
        marks = [] if case in QUICK else [pytest.mark.slow]
        yield pytest.param(architecture, recipe, id=case, marks=marks)


def made_up(name: str, side: int) -> Data:
    """Four images to learn from and two to watch, of two classes."""
    channels = find(name)[1].input_shape[0]
    rng = np.random.default_rng(0)
    shape = (6, 40, 40) if channels == 1 else (6, 40, 40, channels)
    images, labels = rng.integers(0, 256, shape, np.uint8), np.arange(6) % 2
    train, val = (ArraySplit(images, labels, part, "x") for part in np.split(np.arange(6), [4]))
    preprocessing = Preprocessing((side, side), (0.5,) * channels, (0.25,) * channels)
    return Data(train, val, Classification(preprocessing, ("even", "odd")))


def short(recipe: Recipe) -> Recipe:
    """One epoch of two images a step; the rate by the root of their share of the recipe's."""
    images = min(2, recipe.batch_size)
    rate = recipe.optimizer.lr * (images / recipe.batch_size) ** 0.5
    optimizer = replace(recipe.optimizer, lr=rate)
    return replace(recipe.lasting(1), batch_size=images, optimizer=optimizer)


@pytest.mark.parametrize(("architecture", "recipe_name"), list(cases()))
def test_two_steps(architecture, recipe_name):
    recipe = short(find_recipes(architecture)[recipe_name])
    name, side, fields = network_of(architecture, recipe_name)
    torch.manual_seed(0)
    model = build(name, 2, **fields)
    state = State.fresh(model, recipe)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    fit(state, recipe, made_up(name, side), seed=0)
    assert state.step == 4 // recipe.batch_size
    (record,) = state.records
    assert np.isfinite([record["train_loss"], record["val_loss"]]).all()
    moved = [not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)]
    assert np.mean(moved) > 0.8  # AlexNet's first gradients are lost beside biases of 1
