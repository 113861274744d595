"""Winograd's convolution against the direct one in float64, and what it refuses."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convatlas.engines.native_build import no_compiler
from convatlas.engines.winograd_conv import Plan, WinogradConv, takes
from convatlas.errors import InputError

PLANS = [
    Plan(tile, block, together)
    for tile in (2, 4)
    for block in (1, 5, 40)
    for together in (False, True)
]


@pytest.fixture(autouse=True, scope="module")
def compiler():
    reason = no_compiler()
    if reason:
        pytest.skip(reason)


def expected(conv: nn.Conv2d, act: nn.Module | None, x: Tensor, other: Tensor | None) -> Tensor:
    y = copy.deepcopy(conv).double()(x.double())
    y = y if other is None else y + other
    return y if act is None else act(y)


def check(layer: WinogradConv, conv, act, x, other=None) -> None:
    with torch.inference_mode():
        found, wanted = layer(x, other), expected(conv, act, x, other)
    assert found.shape == wanted.shape
    error = (found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-3)
    assert error < 1e-5


@settings(deadline=None, max_examples=40)
@given(
    channels=st.integers(1, 70),
    maps=st.integers(1, 140),
    height=st.integers(3, 13),
    width=st.integers(3, 13),
    images=st.integers(1, 3),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    act=st.sampled_from([None, nn.ReLU(), nn.ReLU6(), nn.SiLU()]),
    plan=st.sampled_from(PLANS),
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


@settings(deadline=None, max_examples=20)
@given(
    channels=st.integers(1, 70),
    maps=st.integers(1, 140),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    act=st.sampled_from([None, nn.ReLU(), nn.Sigmoid()]),
    plan=st.sampled_from([Plan(1, 1, False), Plan(1, 24, False), Plan(1, 50, True)]),
    residual=st.booleans(),
)
def test_any_shape_of_1x1(channels, maps, height, width, stride, act, plan, residual):
    torch.manual_seed(channels + maps)
    conv = nn.Conv2d(channels, maps, 1, stride, bias=not residual)
    x = torch.randn(2, channels, height, width)
    other = torch.randn_like(conv(x)).detach() if residual else None
    check(WinogradConv(conv, act, plan), conv, act, x, other)


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
    plan = Plan(4 if kernel == 3 else 1, 5, together)
    with torch.inference_mode():
        found = WinogradConv(conv, act, plan)(x, other)
        wanted = expected(conv, act, x, other)
    assert found.dtype == torch.bfloat16
    # rounded once, and once more before an activation that is not fused
    torch.testing.assert_close(found.double(), wanted, rtol=2**-7, atol=2**-6)


def test_bfloat16_is_rounded_to_the_nearest_even():
    conv = nn.Conv2d(1, 1, 1, bias=False).bfloat16()
    nn.init.ones_(conv.weight)
    layer = WinogradConv(conv, None, Plan(1, 8, False))
    special = [1.0, -1.0, 0.0, torch.inf, -torch.inf, torch.nan, 1e-40, 3e38]
    x = torch.tensor([*special, *torch.randn(100).tolist()]).bfloat16().view(1, 1, 1, -1)
    more = torch.randn(x.shape).bfloat16() * (x.isfinite() & (x.abs() < 1e38))
    with torch.inference_mode():
        exact = x.float() + more.float()
        assert torch.equal(layer(x, more).nan_to_num(), exact.bfloat16().nan_to_num())
        assert layer(x)[..., 5].isnan().all()


def test_parts_of_other_maps_are_read_where_they_lie():
    conv = nn.Conv2d(20, 8, 3, padding=1)
    layer = WinogradConv(conv, None, PLANS[0])
    wide = torch.randn(2, 48, 12, 14).contiguous(memory_format=torch.channels_last)
    check(layer, conv, None, wide[:, 16:36])  # of more channels
    check(layer, conv, None, wide[:, :20, 2:10, 3:9], wide[:, 30:38, 4:, :6])  # and of an image
    check(layer, conv, None, torch.randn(2, 20, 9, 9))  # channels first
    check(layer, conv, None, torch.randn(20, 9, 9).expand(2, -1, -1, -1))


@pytest.mark.parametrize("act", [nn.ReLU(), nn.SiLU()])
def test_it_writes_where_it_is_told(act):
    conv, x = nn.Conv2d(8, 12, 3, padding=1), torch.randn(2, 8, 9, 7)
    layer = WinogradConv(conv, act, PLANS[0])
    wide = torch.zeros(2, 40, 9, 7).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        layer(x, out=wide[:, 20:32])
        torch.testing.assert_close(wide[:, 20:32], act(conv(x)), rtol=1e-4, atol=1e-5)
    assert not wide[:, :20].any()
    assert not wide[:, 32:].any()
    with pytest.raises(InputError, match="channels last; that does not fit"):
        layer(x, out=torch.zeros(2, 12, 9, 7))
    with pytest.raises(InputError, match=r"does not fit \[2, 40, 9, 7\]"):
        layer(x, out=wide)
    with pytest.raises(InputError, match=r"of torch\.float64"):
        layer(x, wide[:, :12].double())


def test_not_a_number_stays_where_it_is_seen():
    conv = nn.Conv2d(4, 3, 3, padding=1)
    x = torch.zeros(1, 4, 12, 12)
    x[0, 0, 0, 0] = torch.nan
    with torch.inference_mode():
        found = WinogradConv(conv, nn.ReLU(), Plan(2, 4, False))(x)
    assert found[0, :, 0, 0].isnan().all()
    assert not found[:, :, 6:, 6:].isnan().any()


def test_a_result_is_not_overwritten_by_the_next_call():
    conv = nn.Conv2d(16, 64, 3, padding=1)
    layer = WinogradConv(conv, nn.ReLU(), Plan(4, 24, False))
    images = [torch.randn(1, 16, 64, 64) for _ in range(4)]
    with torch.inference_mode():
        found = [layer(x) for x in images]  # a megabyte each: of the arena
        part = layer(images[0])[:, 5:6]
        for x, y in zip(images, found, strict=True):
            assert torch.equal(layer(x), y)
    assert torch.equal(part, found[0][:, 5:6])
    del found, part
    held = layer.arena.bytes_free()
    with torch.inference_mode():
        layer(images[0])
    assert layer.arena.bytes_free() == held >= 5 * 2**20


def test_a_copy_computes_the_same():
    conv, x = nn.Conv2d(8, 8, 3), torch.randn(1, 8, 100, 100)
    layer = WinogradConv(conv, nn.ReLU(), Plan(4, 12, True))
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        with torch.inference_mode():
            assert torch.equal(twin(x), layer(x))


def test_one_thread_gives_what_two_give():
    conv, x = nn.Conv2d(24, 40, 3), torch.randn(2, 24, 20, 20)
    layer, threads = WinogradConv(conv, None, Plan(4, 5, True)), torch.get_num_threads()
    with torch.inference_mode():
        torch.set_num_threads(2)
        both = layer(x)
        torch.set_num_threads(1)
        one = layer(x)
    torch.set_num_threads(threads)
    assert torch.equal(both, one)


@pytest.mark.parametrize("together", [False, True])
def test_threads_of_python_do_not_disturb_each_other(together):
    conv = nn.Conv2d(16, 32, 3, padding=1)
    layer = WinogradConv(conv, None, Plan(4, 12, together))
    images = [torch.randn(1, 16, 60, 60) for _ in range(12)]
    with torch.inference_mode():
        alone = [layer(x).clone() for x in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(layer, images * 3))
    assert all(torch.equal(y, alone[i % 12]) for i, y in enumerate(found))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(8, 8, 5),
        nn.Conv2d(8, 8, (1, 3)),
        nn.Conv2d(8, 8, 1, padding=1),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.Conv2d(8, 8, 3, dilation=2),
        nn.Conv2d(8, 8, 3, groups=2),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(8, 8, 3).double(),
    ],
)
def test_what_is_no_such_convolution(conv):
    assert not takes(conv)
    assert takes(nn.Conv2d(8, 8, 3))
    assert takes(nn.Conv2d(8, 8, 1, stride=2))


@pytest.mark.parametrize(
    "x", [torch.zeros(1, 7, 9, 9), torch.zeros(1, 8, 9, 9, dtype=torch.float64)]
)
def test_other_maps_than_it_was_made_for(x):
    layer = WinogradConv(nn.Conv2d(8, 8, 3), None, PLANS[0])
    with pytest.raises(InputError, match=r"needs 8 maps of torch\.float32"):
        layer(x)
