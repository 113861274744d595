"""Every network on every engine that prepares in seconds: the answers are those of the network."""

import pytest
import torch
from installed import need

import convatlas as ca
from convatlas.catalog import build, find, variants
from convatlas.engines.roster import ENGINES
from convatlas.engines.worker import settle
from test_matrix import smallest

FAST = {"lenet5", "alexnet", "resnet20_cifar", "squeezenet1_1", "unet"}
LIGHT = {"eager", "packed"}
QUICK = [name for name, engine in ENGINES.items() if engine.quick]


def cases() -> list:
    return [
        pytest.param(
            name, engine, marks=() if name in FAST and engine in LIGHT else pytest.mark.slow
        )
        for name in variants()
        for engine in QUICK
    ]


@pytest.mark.parametrize(("name", "engine"), cases())
def test_answers_are_those_of_the_network(name, engine):
    need(engine)
    options, side = smallest(name)
    torch.manual_seed(0)
    channels = find(name)[1].input_shape[0]
    model = build(name, num_classes=7, **options)
    settle(model, torch.randn(4, channels, side, side))
    x = torch.randn(2, channels, side, side)
    found = ca.optimize(model, x, engine=engine)
    with torch.no_grad():
        expected = model(x)
    scale = expected.abs().max().item()
    torch.testing.assert_close(found(x), expected, rtol=0, atol=1e-4 * scale)
