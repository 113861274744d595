"""1x1 convolutions behind the average pooling that follows them: the same values and gradients."""

import pytest
import torch
from layer_pass import gradients
from torch import nn

from convatlas.catalog import build
from convatlas.train.average_pool import find_pooled_convs
from convatlas.train.fused import computed, find_fused


@pytest.mark.parametrize(
    "pool",
    [nn.AvgPool2d(2), nn.AvgPool2d(3, 2), nn.AvgPool2d((1, 3), (1, 2)), nn.AvgPool2d(2, 3)],
)
@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients(pool, bias):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(12, 7, 1, bias=bias), pool)
    assert len(find_pooled_convs(layers)) == 1
    x = torch.randn(2, 12, 11, 10)
    found, expected = (gradients(layers, x, fused) for fused in (True, False))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(4, 4, 1), nn.AvgPool2d(3, 1)),
        (nn.Conv2d(4, 4, 1), nn.AvgPool2d(2, padding=1)),
        (nn.Conv2d(4, 4, 1), nn.AvgPool2d(2, ceil_mode=True)),
        (nn.Conv2d(4, 4, 1), nn.AvgPool2d(2, divisor_override=3)),
        (nn.Conv2d(4, 4, 1), nn.MaxPool2d(2)),
        (nn.Conv2d(4, 4, 1), nn.ReLU(), nn.AvgPool2d(2)),
        (nn.Conv2d(4, 4, 3), nn.AvgPool2d(2)),
        (nn.Conv2d(4, 4, 1, padding=1), nn.AvgPool2d(2)),
        (nn.Conv2d(4, 4, 1, 2), nn.AvgPool2d(2)),
    ],
)
def test_what_stays_in_its_order(layers):
    assert not find_pooled_convs(nn.Sequential(*layers))


@pytest.mark.parametrize("place", [0, 1])
def test_those_who_look_see_the_paper_s_order(place):
    layers, seen = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(2)), []
    layers[place].register_forward_hook(lambda _, given, found: seen.append((given[0], found)))
    x = torch.randn(1, 3, 6, 6)
    with computed(find_fused(layers)):
        layers(x)
    assert [one.shape[2] for one in seen[0]] == [[6, 6], [6, 3]][place]


def test_transitions_of_densenet_are_found():
    with torch.device("meta"):
        assert len(find_pooled_convs(build("densenet121"))) == 3
        assert not find_pooled_convs(build("resnet50"))
