"""Layers by oneDNN's own operations: what is packed, what is fused, what is left."""

import pytest
import torch
from installed import need
from torch import nn

import convatlas as ca
from convatlas.engines.engine import Order
from convatlas.engines.packed import Packed, PackedConv, PackedLinear


@pytest.fixture(autouse=True)
def there():
    need("packed")


def prepared(model: nn.Module, x: torch.Tensor) -> nn.Module:
    return Packed().prepare(Order(model.eval(), x)).module


@pytest.mark.parametrize("act", [nn.ReLU, nn.ReLU6, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Identity])
@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(6, 8, 3, 2, 1),
        nn.Conv2d(6, 12, (1, 3), padding=(0, 1), groups=3, bias=False),
        nn.Conv2d(6, 6, 3, groups=6, dilation=2),
    ],
)
def test_a_convolution_and_its_activation_are_one(conv, act):
    model, x = nn.Sequential(conv, act()), torch.randn(2, 6, 9, 9)
    found = prepared(model, x)
    assert [type(layer) for layer in found] == [PackedConv, nn.Identity]
    torch.testing.assert_close(found(x), model(x))


def test_a_linear_layer_is_packed_too():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 3, bias=False))
    x = torch.randn(4, 3, 2, 2)
    found = prepared(model, x)
    assert [type(layer) for layer in found][1:] == [PackedLinear, nn.Identity, PackedLinear]
    torch.testing.assert_close(found(x), model(x))


def test_what_can_not_be_packed_stays_as_it_is():
    hooked = nn.Conv2d(3, 4, 3)
    hooked.register_forward_hook(lambda *given: given[2] + 1)
    model = nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), nn.LeakyReLU(0.1), hooked
    )
    x = torch.randn(2, 3, 8, 8)
    found = prepared(model, x)
    assert not any(isinstance(layer, PackedConv) for layer in found)
    torch.testing.assert_close(found(x), model(x))


def test_an_activation_that_others_see_too_is_not_fused():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act = nn.Conv2d(3, 4, 3), nn.ReLU()

        def forward(self, x):
            x = self.conv(x)
            return x + self.act(x)

    model, x = Twice(), torch.randn(2, 3, 8, 8)
    found = prepared(model, x)
    assert isinstance(found.conv, PackedConv)
    assert isinstance(found.act, nn.ReLU)
    torch.testing.assert_close(found(x), model(x))


def test_bfloat16(network, images):
    found = ca.optimize(network, images, engine="packed", precision="bfloat16")
    with torch.no_grad():
        expected = network(images)
    assert 1e-6 < (found(images) - expected).abs().max() / expected.abs().max() < 0.05
    assert found.report["packed"] > 5
