"""Convolutions in groups, by code of our own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_checks import check
from torch import nn

from convatlas.engines.depthwise_conv import single
from convatlas.engines.grouped_conv import GroupedConv, groups
from convatlas.native.depthwise import lanes
from convatlas.native.maps import WHOLE

pytestmark = pytest.mark.usefixtures("compiler")


@settings(deadline=None, max_examples=60)
@given(
    group=st.sampled_from([2, 4, 8, 16, 32]),
    blocks=st.integers(1, 3),
    size=st.tuples(st.integers(3, 17), st.integers(3, 17)),
    rows=st.integers(1, 7),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    act=st.sampled_from([None, nn.ReLU(), nn.SiLU(), nn.Tanh()]),
    bias=st.booleans(),
)
def test_any_convolution_in_groups(group, blocks, size, rows, stride, padding, act, bias):
    torch.manual_seed(group + blocks)
    maps = blocks * 32 if group < 32 else (blocks + 1) * 32
    how = {"stride": stride, "padding": padding, "groups": maps // group, "bias": bias}
    conv = nn.Conv2d(maps, maps, (min(rows, size[0]), 3), **how)
    if not groups(conv):
        pytest.skip("vectors of this processor are shorter")
    check(GroupedConv(conv, act, WHOLE), conv, act, torch.randn(2, maps, *size))


@pytest.mark.parametrize("stride", [1, 2])
def test_weights_that_do_not_stay_near_are_read_in_parts(stride):
    torch.manual_seed(stride)
    conv = nn.Conv2d(1024, 1024, 3, stride, 1, groups=1024 // (2 * lanes()))
    assert groups(conv)
    check(GroupedConv(conv, nn.ReLU(), WHOLE), conv, nn.ReLU(), torch.randn(1, 1024, 5, 9))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(96, 96, 3, groups=32),  # three a group
        nn.Conv2d(32, 64, 3, groups=8),
        nn.Conv2d(32, 32, (3, 1), groups=8),
        nn.Conv2d(32, 32, 3, (1, 3), groups=8),
        nn.Conv2d(32, 32, (8, 3), groups=8),
        nn.Conv2d(32, 32, 3, dilation=2, groups=8),
        nn.Conv2d(6, 6, 3, groups=3),  # no whole vectors
        nn.Conv2d(128, 128, 3, groups=2),  # larger than two of them
        nn.Conv2d(32, 32, 3),
        nn.Conv2d(32, 32, 3, groups=8).bfloat16(),
        nn.Conv2d(32, 32, 3, groups=32).bfloat16(),
    ],
)
def test_other_groups_are_left(conv):
    assert not groups(conv)
    assert not single(conv)
