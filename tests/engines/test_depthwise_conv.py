"""Filters of single maps, alone and before 1x1 ones, gates and activations, by code of our own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_checks import PRODUCTS, check, expected
from torch import nn

from convatlas.engines.depthwise_conv import DepthwiseConv, Gate, single
from convatlas.engines.separable_conv import SeparableConv, separable
from convatlas.engines.wanted import Before
from convatlas.errors import InputError
from convatlas.native.maps import WHOLE

pytestmark = pytest.mark.usefixtures("compiler")


@settings(deadline=None, max_examples=60)
@given(
    channels=st.integers(1, 70),
    maps=st.integers(1, 140),
    size=st.tuples(st.integers(7, 14), st.integers(5, 17)),
    kernel=st.tuples(st.integers(1, 7), st.sampled_from([1, 3, 5])),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    acts=st.tuples(*[st.sampled_from([None, nn.ReLU6(), nn.SiLU(), nn.Sigmoid()])] * 2),
    plan=st.sampled_from(PRODUCTS),
    residual=st.booleans(),
    part=st.booleans(),
)
def test_filters_of_single_maps_and_what_follows(
    channels, maps, size, kernel, stride, padding, acts, plan, residual, part
):
    torch.manual_seed(channels + maps)
    bias = not residual
    first = nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=bias)
    conv, (between, act) = nn.Conv2d(channels, maps, 1), acts
    assert separable(Before(first, between), conv)
    x = torch.randn(2, channels, *size)
    if part:  # of wider maps
        wide = torch.randn(2, channels + 3, *size).contiguous(memory_format=torch.channels_last)
        x = wide[:, 2 : 2 + channels]
    with torch.no_grad():
        given = expected(first, between, x, None)
    other = torch.randn_like(conv(given.float())).detach() if residual else None
    with torch.inference_mode():
        found = SeparableConv(Before(first, between), conv, act, plan)(x, other)
        wanted = expected(conv, act, given, other)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("first", "act", "conv"),
    [
        (nn.Conv2d(8, 8, (3, 4), groups=8), None, nn.Conv2d(8, 4, 1)),  # of 4 columns
        (nn.Conv2d(8, 8, 3, (1, 3), groups=8), None, nn.Conv2d(8, 4, 1)),
        (nn.Conv2d(8, 8, (8, 3), groups=8), None, nn.Conv2d(8, 4, 1)),
        (nn.Conv2d(8, 8, 3, dilation=2, groups=8), None, nn.Conv2d(8, 4, 1)),
        (nn.Conv2d(8, 8, 3, groups=4), None, nn.Conv2d(8, 4, 1)),
        (nn.Conv2d(8, 8, 3, groups=8), nn.Tanh(), nn.Conv2d(8, 4, 1)),
        (nn.Conv2d(8, 8, 3, groups=8), None, nn.Conv2d(8, 4, 1, padding=1)),
        (nn.Conv2d(8, 8, 3, groups=8), None, nn.Conv2d(8, 4, 3)),
    ],
)
def test_other_filters_are_not_computed_together(first, act, conv):
    assert not separable(Before(first, act), conv)


@settings(deadline=None, max_examples=60)
@given(
    channels=st.integers(1, 70),
    size=st.tuples(st.integers(7, 14), st.integers(5, 17)),
    kernel=st.tuples(st.integers(1, 7), st.sampled_from([1, 3, 5])),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    act=st.sampled_from([None, nn.ReLU(), nn.SiLU(), nn.Tanh()]),
    bias=st.booleans(),
)
def test_any_depthwise_convolution(channels, size, kernel, stride, padding, act, bias):
    torch.manual_seed(channels)
    conv = nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=bias)
    assert single(conv)
    check(DepthwiseConv(conv, act, WHOLE), conv, act, torch.randn(2, channels, *size))


@pytest.mark.parametrize("channels", [1, 16, 33])
def test_maps_are_multiplied_by_a_number_each(channels):
    x, by = torch.randn(2, channels, 5, 6), torch.rand(2, channels, 1, 1)
    with torch.inference_mode():
        assert torch.equal(Gate(channels)(x, by), x * by)
        with pytest.raises(InputError, match="for each of"):
            Gate(channels)(x, x)
        with pytest.raises(InputError, match="not none"):
            Gate(channels)(x)
        with pytest.raises(InputError, match="bool"):
            Gate(channels)(x, by > 0)
        with pytest.raises(InputError, match="float64"):
            Gate(channels)(x.double(), by)


@pytest.mark.parametrize("act", [nn.SiLU(), nn.Sigmoid()])
def test_activations_of_any_value(act):
    conv = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.ones_(conv.weight)
    special = [
        0.0,
        -0.0,
        torch.inf,
        -torch.inf,
        torch.nan,
        88.0,
        -88.0,
        200.0,
        -200.0,
        1e-30,
        *(sign * size for size in (1e4, 1e15, 1e20, 1e38, 3e38) for sign in (1, -1)),
    ]
    x = torch.tensor([*special, *torch.linspace(-20, 20, 1001).tolist()]).view(1, 1, 1, -1)
    with torch.inference_mode():
        found = DepthwiseConv(conv, act, WHOLE)(x)
        expected = act(x.double()).float()
    torch.testing.assert_close(found, expected, rtol=3e-7, atol=1e-35, equal_nan=True)
