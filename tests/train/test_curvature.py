"""The curvature of each weight against derivatives that are taken layer by layer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jacrev

from convatlas.architectures.lenet5 import RBF, TABLE_1, Squash, Subsampling, TableConv
from convatlas.catalog import build
from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import ArraySplit
from convatlas.errors import InputError
from convatlas.recipe import DiagonalLM, Recipe
from convatlas.recipes.lenet5 import RECIPES
from convatlas.train.curvature import curvature
from convatlas.train.loop import Data, fit
from convatlas.train.losses import make_loss
from convatlas.train.signals import StoppedError
from convatlas.train.state import State
from convatlas.train.tasks import Classification

LABELS = torch.tensor([0, 2, 1])


def images(channels=1, side=8):
    torch.manual_seed(3)
    return torch.randn(3, channels, side, side, dtype=torch.float64)


def layers_of(model):
    """List the layers of a chain, in order, by name; a layer of Table I is one."""
    for name, layer in model.named_children():
        if isinstance(layer, nn.Sequential):
            yield from ((f"{name}.{inner}", part) for inner, part in layers_of(layer))
        else:
            yield name, layer


def by_layers(model, loss, image, label):
    """Pass second derivatives back through one layer at a time, by the squares of its Jacobian."""
    layers, x = [], image
    for name, layer in layers_of(model):
        if isinstance(layer, RBF):
            break
        layers.append((name, layer, x))
        x = layer(x)
    flat = x.detach().reshape(-1)
    full = jacrev(grad(lambda v: loss(v[None], label[None])))
    second = torch.full_like(flat, 2) if isinstance(layer, RBF) else full(flat).diagonal()
    found = {}
    for name, layer, entering in reversed(layers):
        weights = dict(layer.named_parameters())

        def run(weights, entering, layer=layer):
            return functional_call(layer, weights, (entering,)).reshape(-1)

        for inner, jacobian in (jacrev(run)(weights, entering) if weights else {}).items():
            found[f"{name}.{inner}"] = torch.tensordot(second, jacobian.square(), 1)
        jacobian = jacrev(run, argnums=1)(weights, entering)
        second = torch.tensordot(second, jacobian.square(), 1).flatten()
    return found


def chain(*layers):
    torch.manual_seed(4)
    for layer in layers:
        if isinstance(layer, Subsampling):
            nn.init.uniform_(layer.coefficient)
            nn.init.uniform_(layer.bias)
    return nn.Sequential(*layers).double()


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (chain(nn.Flatten(), nn.Linear(64, 3)), make_loss("cross_entropy")),
        (
            chain(
                nn.Conv2d(1, 4, 3, stride=2, padding=1, groups=1),
                nn.Tanh(),
                nn.Conv2d(4, 6, 3, groups=2),
                nn.ReLU(),
                nn.AvgPool2d(2),
                nn.Flatten(),
                nn.Linear(6, 5),
                nn.Sigmoid(),
                nn.Linear(5, 3),
            ),
            make_loss("cross_entropy", 0.1),
        ),
        (
            chain(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 3)),
            make_loss("cross_entropy"),
        ),
        (
            chain(
                *(nn.Conv2d(1, 6, 3), Squash(), Subsampling(6), Squash()),
                *(TableConv(TABLE_1, 2), Squash(), Subsampling(16), Squash()),
                *(nn.Flatten(), nn.Linear(16, 84), Squash(), RBF(3)),
            ),
            make_loss("lenet5_map"),
        ),
    ],
    ids=["linear", "deep", "maximum", "lenet5"],
)
def test_it_is_what_goes_back_through_squared_jacobians(model, loss):
    found = curvature(model, loss, images(), LABELS)
    each = [by_layers(model, loss, *pair) for pair in zip(images()[:, None], LABELS, strict=True)]
    for name, parameter in model.named_parameters():
        mean = torch.stack([one[name] for one in each]).mean(0)
        torch.testing.assert_close(found[parameter], mean, rtol=1e-9, atol=1e-12)
        assert (found[parameter] >= 0).all()
        assert parameter.grad is None


def test_of_one_linear_layer_it_is_the_second_derivative_itself():
    model, loss = chain(nn.Flatten(), nn.Linear(64, 3)), make_loss("cross_entropy")
    weights = dict(model.named_parameters())

    def total(weights):
        return loss(functional_call(model, weights, (images(),)), LABELS)

    exact = jacrev(grad(total))(weights)
    found = curvature(model, loss, images(), LABELS)
    for name, parameter in weights.items():
        diagonal = exact[name][name].reshape(parameter.numel(), -1).diagonal()
        torch.testing.assert_close(found[parameter].reshape(-1), diagonal)


def test_the_rates_of_the_first_pass_are_those_that_the_paper_prints(data_root):
    """LeCun et al. 1998, section III-B: "between approximately 7 x 10^-5 and 0.016"."""
    from convatlas.data.loader import batches
    from convatlas.data.sources import open_source

    source = open_source("mnist", root=data_root / "mnist")
    preprocessing = source.card.preprocessing((1, 32, 32))
    batch = next(iter(batches(source.train, preprocessing, 500, shuffle=True)))

    def rates(init):
        torch.manual_seed(0)
        model = build("lenet5", init=init)
        found = curvature(model, make_loss("lenet5_map"), batch.images, batch.labels)
        each = 0.0005 / (0.02 + torch.cat([value.flatten() for value in found.values()]))
        return torch.quantile(each, torch.tensor([0.01, 0.99])).tolist()

    assert rates("paper_root") == pytest.approx([7e-5, 0.016], rel=0.3)
    assert rates("paper") == pytest.approx([0.01, 0.025], rel=0.4)


def test_a_layer_without_a_rule_is_named():
    model = chain(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 3))
    with pytest.raises(InputError, match="no second derivatives of BatchNorm2d; it knows Conv2d"):
        curvature(model, make_loss("cross_entropy"), images(), LABELS)
    assert not model[1]._forward_hooks
    assert model.training


def test_maps_of_logits_are_refused():
    with pytest.raises(InputError, match="one vector of logits"):
        curvature(chain(nn.Conv2d(1, 3, 3)), make_loss("cross_entropy"), images(), LABELS)


def make_data():
    rng = np.random.default_rng(0)
    classes = np.arange(60) % 2
    pictures = rng.integers(0, 100, (60, 32, 32), np.uint8)
    pictures[classes == 1, 8:24, 8:24] += 150
    train, val = (ArraySplit(pictures, classes, p, "x") for p in np.split(np.arange(60), [40]))
    preprocessing = Preprocessing((32, 32), (0.1,), (0.8,))
    return Data(train, val, Classification(preprocessing, ("dark", "light")))


def trained(recipe, state=None, **named):
    torch.manual_seed(7)
    model = build("lenet5", 2, 1, **dict(recipe.network))
    state = state or State.fresh(model, recipe)
    fit(state, recipe, make_data(), seed=3, **named)
    return state


SHORT = replace(RECIPES["paper"].lasting(2), optimizer=DiagonalLM(0.0005, samples=10))


@pytest.fixture(scope="module")
def undisturbed():
    return trained(SHORT)


def test_the_papers_recipe_learns(undisturbed):
    assert undisturbed.records[-1]["val_accuracy"] == 1.0


def test_a_run_taken_up_within_an_epoch_ends_in_the_same_bits(undisturbed):
    torch.manual_seed(7)
    half = State.fresh(build("lenet5", 2, 1, init="paper_root"), SHORT)
    with pytest.raises(StoppedError):
        trained(SHORT, half, stop=lambda: half.step == 55)
    other = State.fresh(build("lenet5", 2, 1), SHORT)
    other.restore(half.to_dict())
    again = trained(SHORT, other).model.parameters()
    for ours, theirs in zip(again, undisturbed.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_an_optimizer_of_another_recipe_is_refused():
    state = State.fresh(build("lenet5", 2, 1), SHORT)
    with pytest.raises(InputError, match="not that of the recipe"):
        fit(state, Recipe("test", 1, 3, RECIPES["mnist"].optimizer), make_data(), seed=0)
