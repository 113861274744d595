"""Each recipe can teach its network: four images by heart, or at least a falling loss."""

import numpy as np
import pytest
import torch
from recipe_networks import network_of, recipes
from torch import nn
from torch.nn import functional as F

from convatlas.catalog import build, find
from convatlas.train.learner import Learner
from convatlas.train.losses import make_loss
from convatlas.train.optimizers import set_rate
from convatlas.train.plan import find_recipes
from convatlas.train.state import State

IMAGES = 4
STEPS = 1000
FEW_STEPS = 30
SMALL = ("lenet5", "gap_study")  # these learn without batch norm
INCEPTIONS = ("inception_v3", "inception_v4", "inception_resnet")
QUICK = (
    *("lenet5-mnist", "lenet5-digits", "squeezenet-imagenet", "resnet-cifar10"),
    *("wide_resnet-cifar10", "densenet-cifar10", "mobilenet_v1-imagenet"),
)


def cases():
    for architecture, recipe in recipes():
        case = f"{architecture}-{recipe}"
        marks = [] if case in QUICK else [pytest.mark.slow, pytest.mark.timeout(1800)]
        yield pytest.param(architecture, recipe, id=case, marks=marks)


def network(architecture, recipe_name):
    """The network without what is against learning by heart, and four blurred blobs.

    Blobs, not noise: a network that averages over all places sees no difference in noise.
    """
    name, side, fields = network_of(architecture, recipe_name)
    if architecture in INCEPTIONS:
        side, fields = 107, {}  # side classifiers would need images of 299
    torch.manual_seed(0)
    model = build(name, 10, **fields)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    noise = torch.randn(IMAGES, find(name)[1].input_shape[0], 4, 4)
    return model, F.interpolate(noise, (side, side), mode="bicubic", align_corners=False)


def losses(model, images, recipe, steps):
    """Give the loss of each step and whether all images were recognised in it.

    Gradients are not clipped: those of so few images are long, and would be cut in every step.
    """
    labels, state = torch.arange(IMAGES), State.fresh(model, recipe)
    sides = hasattr(model, "sides") and len(model.sides) > 0
    learner = Learner(model, make_loss(recipe.loss, recipe.label_smoothing), sides=sides)
    # fewer images, smaller steps: by the root of their share (Krizhevsky 2014, section 5)
    set_rate(state.optimizer, recipe.optimizer.lr * min(1, IMAGES / recipe.batch_size) ** 0.5)
    for step in range(steps):
        torch.manual_seed(step)
        loss, logits = learner(images, labels)
        yield loss.item(), torch.equal(logits.argmax(dim=1), labels)
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()


@pytest.mark.parametrize(("architecture", "recipe_name"), list(cases()))
def test_four_images(architecture, recipe_name):
    """Batch norm tells the four images apart in every layer; without it hundreds of steps pass."""
    recipe = find_recipes(architecture)[recipe_name]
    model, images = network(architecture, recipe_name)
    normed = any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    if normed or architecture in SMALL:
        path = []
        for loss, all_right in losses(model, images, recipe, STEPS):
            path.append(loss)
            if all_right and loss < path[0] / 2:
                return
        pytest.fail(f"after {STEPS} steps the loss is {path[-1]:.3f}; it was {path[0]:.3f}")
    path = [loss for loss, _ in losses(model, images, recipe, FEW_STEPS)]
    assert np.isfinite(path).all()
    assert np.mean(path[-10:]) < np.mean(path[:10])
