"""The engine over oneDNN's own operations, and what it does where a network has no graph."""

import pytest
import torch
from installed import need
from torch import nn

import convatlas as ca
from convatlas.engines.engine import Order
from convatlas.engines.graph_layers import PackedConv, PackedLinear
from convatlas.engines.packed import Packed


@pytest.fixture(autouse=True)
def there():
    need("packed")


def hooked() -> nn.Sequential:
    """Give a network that is not taken as a graph."""
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.SiLU(),
        nn.Conv2d(6, 4, 3),
        nn.LeakyReLU(0.1),
        nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect"),
        nn.Flatten(),
        nn.Linear(48, 5),
        nn.ReLU(),
        nn.Linear(5, 3, bias=False),
    )
    model[3].register_forward_hook(lambda *given: given[2] + 1)
    return model.eval()


def test_layers_of_a_network_with_hooks_are_packed_one_by_one():
    model, x = hooked(), torch.randn(2, 3, 8, 8)
    found = Packed().prepare(Order(model, x))
    kinds = [type(layer) for layer in found.module]
    assert [i for i, kind in enumerate(kinds) if kind is PackedConv] == [0]
    assert [i for i, kind in enumerate(kinds) if kind is PackedLinear] == [7, 9]
    assert [i for i, kind in enumerate(kinds) if kind is nn.Identity] == [1, 2, 8]
    assert found.report()["without_graph"] == "the network has hooks"
    assert (found.report()["packed"], found.report()["norms_folded"]) == (3, 1)
    torch.testing.assert_close(found.run(x), model(x))


def test_a_network_that_chooses_by_values_is_packed_too():
    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act = nn.Conv2d(3, 4, 3), nn.ReLU()

        def forward(self, x):
            x = self.conv(x)
            return x + self.act(x) if x.detach().sum().item() > 1e9 else self.act(x)

    model, x = Choosing().eval(), torch.randn(2, 3, 8, 8)
    found = Packed().prepare(Order(model, x))
    assert "torch.export can't take it" in found.report()["without_graph"]
    assert isinstance(found.module.conv, PackedConv)
    torch.testing.assert_close(found.run(x), model(x))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_answers_within_the_precision(network, images, precision):
    found = ca.optimize(network, images, engine="packed", precision=precision)
    with torch.no_grad():
        expected = network(images)
    error = ((found(images) - expected).abs().max() / expected.abs().max()).item()
    assert error < 1e-5 if precision == "float32" else 1e-6 < error < 0.05
    assert found.report["norms_folded"] == found.report["packed"] - 1 == 7
