"""Convolutions and linear layers as products of matrices, by code of our own."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_checks import PRODUCTS, check, expected
from torch import nn

from convatlas.engines.product_conv import ProductConv, ProductLinear
from convatlas.engines.winograd_conv import WinogradConv
from convatlas.native.maps import Plan

pytestmark = pytest.mark.usefixtures("compiler")


@settings(deadline=None, max_examples=60)
@given(
    channels=st.integers(1, 70),
    maps=st.integers(1, 140),
    size=st.tuples(st.integers(4, 12), st.integers(4, 12)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    act=st.sampled_from([None, nn.ReLU(), nn.Sigmoid()]),
    plan=st.sampled_from(PRODUCTS),
    residual=st.booleans(),
)
def test_any_product(channels, maps, size, kernel, stride, padding, act, plan, residual):
    torch.manual_seed(channels + maps)
    conv = nn.Conv2d(channels, maps, kernel, stride, padding, bias=not residual)
    x = torch.randn(2, channels, *size)
    other = torch.randn_like(conv(x)).detach() if residual else None
    check(ProductConv(conv, act, plan), conv, act, x, other)


@pytest.mark.parametrize("plan", PRODUCTS, ids=str)
@pytest.mark.parametrize(
    ("conv", "size"),
    [
        (nn.Conv2d(8, 8, 1, padding=(1, 0)), (4, 5)),
        (nn.Conv2d(8, 8, 1, padding=(0, 1)), (1, 5)),
        (nn.Conv2d(8, 8, 3, 2, 1), (2, 2)),  # one output, fewer than threads
        (nn.Conv2d(8, 8, 1, 2), (1, 1)),
    ],
)
def test_products_of_one_image(plan, conv, size):
    def compute() -> None:
        check(ProductConv(conv, None, plan), conv, None, torch.randn(1, 8, *size))

    with ThreadPoolExecutor(1) as pool:  # a thread that has computed nothing before
        pool.submit(compute).result()


@pytest.mark.parametrize("channels", [1, 3, 4, 15])
@pytest.mark.parametrize("act", [nn.ReLU6(), nn.SiLU()])
def test_lines_of_few_channels(channels, act):
    conv = nn.Conv2d(channels, 72, (5, 3), (2, 3), (2, 1))
    wide = torch.randn(2, channels + 4, 11, 40).contiguous(memory_format=torch.channels_last)
    for x in (wide[:, 3 : 3 + channels], wide[:, :channels, 2:, 5:], wide[:1, :channels, :2, :1]):
        other = torch.randn_like(conv(x)).detach()
        check(ProductConv(conv, act, PRODUCTS[0]), conv, act, x, other)


@pytest.mark.parametrize("plan", PRODUCTS, ids=str)
@pytest.mark.parametrize("channels", [1025, 2600])
def test_products_of_many_channels_are_summed_in_parts(plan, channels):
    torch.manual_seed(channels)
    conv, x = nn.Conv2d(channels, 70, 1), torch.randn(1, channels, 7, 6)
    check(ProductConv(conv, nn.ReLU(), plan), conv, nn.ReLU(), x)


@settings(deadline=None, max_examples=30)
@given(
    images=st.integers(1, 20),
    inputs=st.integers(1, 300),
    outputs=st.integers(1, 140),
    act=st.sampled_from([None, nn.ReLU(), nn.Tanh()]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    together=st.booleans(),
)
def test_any_linear_layer(images, inputs, outputs, act, dtype, together):
    torch.manual_seed(inputs)
    linear = nn.Linear(inputs, outputs).to(dtype)
    x = torch.randn(images, 2 * inputs).to(dtype)[:, ::2]
    layer = ProductLinear(linear, act, Plan(1, 7, together))
    with torch.inference_mode():
        found, wanted = layer(x), copy.deepcopy(linear).double()(x.double())
        wanted = wanted if act is None else act(wanted)
    assert (found.dtype, found.shape) == (dtype, wanted.shape)
    error = 1e-5 if dtype == torch.float32 else 2**-6
    torch.testing.assert_close(found.double(), wanted, rtol=error, atol=error)


@settings(deadline=None, max_examples=20)
@given(
    channels=st.integers(1, 40),
    maps=st.integers(1, 70),
    kernel=st.sampled_from([1, 3]),
    act=st.sampled_from([None, nn.ReLU(), nn.SiLU()]),
    together=st.booleans(),
    residual=st.booleans(),
)
def test_maps_of_bfloat16(channels, maps, kernel, act, together, residual):
    torch.manual_seed(channels + maps)
    conv = nn.Conv2d(channels, maps, kernel).bfloat16()
    x = torch.randn(2, channels, 9, 7).bfloat16()
    other = torch.randn(2, maps, 10 - kernel, 8 - kernel).bfloat16() if residual else None
    kind, tile = (WinogradConv, 4) if kernel == 3 else (ProductConv, 1)
    with torch.inference_mode():
        found = kind(conv, act, Plan(tile, 5, together))(x, other)
        wanted = expected(conv, act, x, other)
    assert found.dtype == torch.bfloat16
    # rounded once, and once more before an activation that is not fused
    torch.testing.assert_close(found.double(), wanted, rtol=2**-7, atol=2**-6)


def test_bfloat16_is_rounded_to_the_nearest_even():
    conv = nn.Conv2d(1, 1, 1, bias=False).bfloat16()
    nn.init.ones_(conv.weight)
    layer = ProductConv(conv, None, Plan(1, 8, False))
    special = [1.0, -1.0, 0.0, torch.inf, -torch.inf, torch.nan, 1e-40, 3e38]
    x = torch.tensor([*special, *torch.randn(100).tolist()]).bfloat16().view(1, 1, 1, -1)
    more = torch.randn(x.shape).bfloat16() * (x.isfinite() & (x.abs() < 1e38))
    with torch.inference_mode():
        exact = x.float() + more.float()
        assert torch.equal(layer(x, more).nan_to_num(), exact.bfloat16().nan_to_num())
        assert layer(x)[..., 5].isnan().all()
