import pytest
import torch
from torch import nn

from convatlas.train.averaging import Average


def test_it_follows_the_formula():
    model = nn.Linear(1, 1, bias=False).double()
    average = Average(model, decay=0.5)
    expected = model.weight.item()
    for step in range(1, 30):
        with torch.no_grad():
            model.weight += 1.0
        average.follow(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.item()
        assert average.model.weight.item() == pytest.approx(expected, rel=1e-12)


def test_buffers_are_averaged_and_counts_are_copied():
    model = nn.BatchNorm1d(2)
    average = Average(model, decay=0.9)
    model(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    average.follow(1)
    decay = 2 / 11
    assert torch.allclose(average.model.running_mean, (1 - decay) * model.running_mean)
    assert average.model.num_batches_tracked.item() == 1


def test_the_network_itself_is_left_alone():
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    average = Average(model, decay=0.9)
    with torch.no_grad():
        model.weight.add_(1)
    average.follow(1)
    assert torch.equal(model.weight, before + 1)
    assert not average.model.weight.requires_grad
    assert model.weight.requires_grad
