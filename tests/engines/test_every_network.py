"""Every network on every engine that prepares in seconds: the answers are those of the network.

By default a few networks run on torch's engines, and some families on each runtime; `make
engines` runs them all.
"""

import pytest
import torch
from installed import need

import convatlas as ca
from convatlas.catalog import build, find, variants
from convatlas.engines.roster import ENGINES
from convatlas.engines.worker import settle
from test_matrix import smallest

TORCH = {"lenet5", "alexnet", "resnet20_cifar", "squeezenet1_1", "unet"}
FAST = {
    "eager": TORCH,
    "packed": TORCH,
    "openvino": {"lenet5", "unet", "squeezenet1_1", "cnn_gap"},
    "onnxruntime": {"alexnet", "nin_cifar10", "resnet20_cifar", "mobilenet_v1_025"},
}
QUICK = [name for name, engine in ENGINES.items() if engine.quick]
TOLERANCE = 1e-4  # of the largest logit

pytestmark = pytest.mark.timeout(1800)  # converting a thousand layers


def cases() -> list:
    return [
        pytest.param(name, engine, marks=() if name in FAST.get(engine, ()) else pytest.mark.slow)
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
    with torch.no_grad():
        exact = model.double()(x.double()).float()
        expected = model.float()(x)
    scale = exact.abs().max().item()
    # with fresh weights a hundred layers make more of a rounding than torch itself is exact to
    tolerance = max(TOLERANCE, 10 * (expected - exact).abs().max().item() / scale)
    found = ca.optimize(model, x, engine=engine, tolerance=tolerance)
    torch.testing.assert_close(found(x), expected, rtol=0, atol=tolerance * scale)
