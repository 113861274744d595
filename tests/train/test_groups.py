"""Each parameter is in the group of its kind, once."""

import pytest
import torch
from torch import nn

from convatlas.catalog import build
from convatlas.errors import InputError
from convatlas.recipe import SGD, SPARED, Recipe, override
from convatlas.train.groups import parameter_groups
from convatlas.train.optimizers import make_optimizer, set_rate
from convatlas.train.state import State

PLAIN = Recipe("test", 4, 1, SGD(0.1, weight_decay=1e-2))


def names(model, group):
    known = {id(parameter): name for name, parameter in model.named_parameters()}
    return {known[id(parameter)] for parameter in group["params"]}


def test_one_group_in_the_networks_order_where_nothing_is_told_apart():
    model = build("resnet20_cifar")
    (group,) = parameter_groups(model, PLAIN)
    assert all(a is b for a, b in zip(group["params"], model.parameters(), strict=True))
    assert "weight_decay" not in group


@pytest.mark.parametrize(
    "name", ["mobilenet_v1_025", "alexnet_bn", "lenet5", "densenet40_k12_cifar"]
)
def test_each_parameter_is_in_one_group(name):
    model = build(name)
    recipe = override(PLAIN, {"undecayed": list(SPARED), "bias_rate": 2})
    found = [
        parameter for group in parameter_groups(model, recipe) for parameter in group["params"]
    ]
    assert len(found) == len({id(parameter) for parameter in found})
    assert {id(parameter) for parameter in found} == {id(each) for each in model.parameters()}


def test_what_is_spared_is_told_by_kind():
    model = build("mobilenet_v1_025")
    for spared, expected in {
        "biases": lambda name: name.endswith("bias"),
        "norms": lambda name: ".norm" in name,
        "depthwise": lambda name: ".dw.conv." in name,
    }.items():
        recipe = override(PLAIN, {"undecayed": [spared]})
        groups = parameter_groups(model, recipe)
        free = [group for group in groups if group.get("weight_decay") == 0.0]
        assert names(model, free[0]) == {
            name for name, _ in model.named_parameters() if expected(name)
        }, spared
        assert len(groups) == 2


def test_a_shared_parameter_is_counted_once():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    (group,) = parameter_groups(nn.Sequential(first, second), PLAIN)
    assert len(group["params"]) == 3


def test_biases_learn_twice_as_fast_and_without_decay():
    """As in Caffe: w -= r (g + d w), b -= 2 r g."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    recipe = override(PLAIN, {"undecayed": ["biases"], "bias_rate": 2.0})
    state = State.fresh(model, recipe)
    model(torch.ones(1, 3)).sum().backward()
    set_rate(state.optimizer, 0.5)
    state.optimizer.step()
    weight, bias = before
    assert torch.allclose(model.weight, weight - 0.5 * (1 + 0.01 * weight))
    assert torch.allclose(model.bias, bias - 2 * 0.5)


def test_groups_survive_a_checkpoint():
    recipe = override(PLAIN, {"undecayed": ["biases"], "bias_rate": 2.0})
    model = nn.Linear(3, 2)
    kept = State.fresh(model, recipe).optimizer.state_dict()
    optimizer = make_optimizer(recipe.optimizer, parameter_groups(model, recipe))
    optimizer.load_state_dict(kept)
    set_rate(optimizer, 0.1)
    assert sorted(group["lr"] for group in optimizer.param_groups) == [0.1, 0.2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"undecayed": ["bias"]}, "undecayed"),
        ({"bias_rate": 0}, "bias_rate must be a positive number"),
        ({"bias_rate": float("nan")}, "bias_rate must be a positive number"),
        ({"network": [["dropout"]]}, "network takes"),
    ],
)
def test_kinds_that_there_are_none_of_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        override(PLAIN, changes)
