"""Dropout while a network learns: what is kept, how often, and the gradient."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from convatlas.train.dropout import find_dropouts
from convatlas.train.fused import computed, find_fused


def dropped(p: float, x: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    layer = nn.Dropout(p)
    with computed(find_fused(layer)):
        return layer(x)


@pytest.mark.parametrize("p", [0.5, 0.2, 0.3, 1 / 256, 0.999])
@pytest.mark.parametrize("last", [False, True])
def test_values_are_kept_as_often_as_they_should(p, last):
    x = torch.rand(8, 64, 24, 24) + 1
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    y = dropped(p, x)
    kept = y != 0
    torch.testing.assert_close(y[kept], x[kept] / (1 - p))
    deviation = (p * (1 - p) / x.numel()) ** 0.5
    assert abs(float(kept.double().mean()) - (1 - p)) < 5 * deviation
    of_a_map = kept.double().mean(dim=(0, 2, 3))
    assert float((of_a_map - (1 - p)).abs().max()) < 6 * deviation * 64**0.5


def test_coins_are_drawn_apart():
    kept = (dropped(0.5, torch.ones(2**16)) != 0).double()
    for shift in (1, 2, 4, 8, 16):
        together = float((kept[shift:] * kept[:-shift]).mean())
        assert abs(together - 0.25) < 5 * 0.25 / 2**8


def test_the_gradient_goes_where_values_were_kept():
    x = torch.rand(4, 32, 16, 16).requires_grad_()
    y = dropped(0.3, x + 1)
    y.sum().backward()
    torch.testing.assert_close(x.grad, (y != 0) / 0.7)


def test_the_seed_decides():
    x = torch.ones(64, 1024)
    assert torch.equal(dropped(0.5, x), dropped(0.5, x))
    assert not torch.equal(dropped(0.5, x), dropped(0.5, x, seed=1))


def test_bfloat16_stays():
    y = dropped(0.5, torch.ones(64, 1024).bfloat16())
    assert y.dtype == torch.bfloat16
    assert set(y.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_all_or_nothing(p):
    assert float(dropped(p, torch.ones(64, 1024)).mean()) == 1 - p


def test_evaluation_and_small_tensors_take_torch():
    layer = nn.Dropout(0.5)
    with computed(find_fused(layer)):
        torch.manual_seed(0)
        few = layer(torch.ones(100))
        assert layer.eval()(torch.ones(64, 1024)).min() == 1
    torch.manual_seed(0)
    assert torch.equal(few, nn.Dropout(0.5)(torch.ones(100)))


def test_other_layers_stay_as_they_are():
    assert not find_dropouts(nn.Dropout(0.5, inplace=True))
    assert not find_dropouts(nn.Dropout2d(0.5))


@pytest.mark.parametrize("reentrant", [False, True])
def test_what_is_computed_again_on_the_way_back_draws_the_same(reentrant):
    layer = nn.Dropout(0.5)
    x = torch.rand(64, 1024).requires_grad_()
    with computed(find_fused(layer)):  # as `take_step` does
        y = checkpoint(layer, x, use_reentrant=reentrant)
        y.sum().backward()
    assert torch.equal(x.grad != 0, y != 0)
