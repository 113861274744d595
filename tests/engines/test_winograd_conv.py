"""3x3 convolutions in fewer multiplications, by code of our own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_checks import TILES, check
from torch import nn

from convatlas.engines.native_layer import takes
from convatlas.engines.winograd_conv import WinogradConv, filters
from convatlas.native.maps import Plan

pytestmark = pytest.mark.usefixtures("compiler")


@settings(deadline=None, max_examples=40)
@given(
    channels=st.integers(1, 70),
    maps=st.integers(1, 140),
    height=st.integers(3, 13),
    width=st.integers(3, 13),
    images=st.integers(1, 3),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    act=st.sampled_from([None, nn.ReLU(), nn.ReLU6(), nn.SiLU()]),
    plan=st.sampled_from(TILES),
    residual=st.booleans(),
)
def test_any_shape(channels, maps, height, width, images, padding, act, plan, residual):
    torch.manual_seed(channels + maps)
    conv = nn.Conv2d(channels, maps, 3, padding=padding, bias=residual)
    x = torch.randn(images, channels, height, width)
    other = torch.randn_like(conv(x)).detach() if residual else None
    check(WinogradConv(conv, act, plan), conv, act, x, other)


@pytest.mark.parametrize("tile", [2, 4])
def test_large_values_and_many_channels(tile):
    torch.manual_seed(0)
    conv, x = nn.Conv2d(512, 64, 3, padding="same"), 1e4 * torch.randn(1, 512, 10, 10)
    check(WinogradConv(conv, None, Plan(tile, 24, False)), conv, None, x)


def test_what_is_filtered():
    assert filters(nn.Conv2d(8, 8, 3))
    for conv in (nn.Conv2d(8, 8, 5), nn.Conv2d(8, 8, (1, 3)), nn.Conv2d(8, 8, 3, stride=2)):
        assert takes(conv)
        assert not filters(conv)
