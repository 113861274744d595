"""Batch norms folded into the layers before them: the same function, and nothing else changed."""

import pytest
import torch
from torch import nn

from convatlas.catalog import build
from convatlas.engines.folding import folded


def trained(model: nn.Module, *shape: int) -> nn.Module:
    """Give the norms statistics that are not 0 and 1."""
    torch.manual_seed(0)
    with torch.no_grad():
        model(torch.randn(4, *shape))
        for module in model.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.affine:
                module.weight.uniform_(0.5, 2)
                module.bias.normal_()
    return model.eval()


@pytest.mark.parametrize(
    ("name", "norms_left"),
    [("resnet20_cifar", 0), ("mobilenet_v1_025", 0), ("densenet40_k12_cifar", 39)],
)
def test_a_folded_network_computes_the_same(name, norms_left):
    model = trained(build(name), 3, 32, 32)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found, count = folded(model)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(found(x), model(x), rtol=1e-4, atol=1e-4)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    left = [m for m in found.modules() if isinstance(m, nn.BatchNorm2d)]
    assert (len(left), count) == (norms_left, len(norms) - norms_left)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_norm_behind_a_linear_layer_is_folded_too():
    model = trained(nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU()), 5)
    found, count = folded(model)
    x = torch.randn(3, 5)
    torch.testing.assert_close(found(x), model(x))
    assert count == 1


def test_what_would_change_the_function_stays():
    hooked = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    hooked[0].register_forward_hook(lambda *_: None)
    by_batch = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    other = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
    assert [folded(model.eval())[1] for model in (hooked, by_batch, other)] == [0, 0, 0]
