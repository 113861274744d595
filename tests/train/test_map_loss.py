"""The loss of LeNet-5 against the paper's equation 9."""

import math

import pytest
import torch

from convatlas.errors import InputError
from convatlas.train.map_loss import map_loss


@pytest.mark.parametrize("j", [0.5, 10.0])
def test_the_loss_is_equation_9(j):
    generator = torch.Generator().manual_seed(0)
    distances = 20 * torch.rand(6, 10, generator=generator)
    labels = torch.tensor([3, 1, 4, 1, 5, 9])
    terms = [
        y[label].item() + math.log(math.exp(-j) + sum(math.exp(-value) for value in y.tolist()))
        for y, label in zip(distances, labels, strict=True)
    ]
    loss = map_loss(-distances, labels, j=j)
    assert loss.item() == pytest.approx(sum(terms) / 6, rel=1e-5)


def test_the_loss_needs_a_positive_j():
    with pytest.raises(InputError, match="j must be positive"):
        map_loss(torch.zeros(1, 10), torch.tensor([0]), j=0)


def test_the_loss_stays_finite_at_great_distances():
    logits = torch.full((2, 10), -1e4, requires_grad=True)
    loss = map_loss(logits, torch.tensor([0, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(1e4 - 10, rel=1e-5)
    assert torch.isfinite(logits.grad).all()
