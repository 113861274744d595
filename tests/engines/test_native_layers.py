"""Layers by code of our own against the direct ones in float64, and what they refuse."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convatlas.engines.depthwise_conv import DepthwiseConv, Gate, single
from convatlas.engines.grouped_conv import GroupedConv, groups
from convatlas.engines.native_build import no_compiler
from convatlas.engines.native_layer import NativeLayer, takes
from convatlas.engines.native_pool import NativePool
from convatlas.engines.product_conv import ProductConv, ProductLinear
from convatlas.engines.separable_conv import SeparableConv, separable
from convatlas.engines.wanted import Before
from convatlas.engines.winograd_conv import WinogradConv, filters
from convatlas.errors import InputError
from convatlas.native.maps import Plan

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


def check(layer: NativeLayer, conv, act, x, other=None) -> None:
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


PRODUCTS = [Plan(1, block, together) for block in (1, 24, 50) for together in (False, True)]


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


@settings(deadline=None, max_examples=60)
@given(
    channels=st.integers(1, 70),
    maps=st.integers(1, 140),
    size=st.tuples(st.integers(5, 14), st.integers(5, 14)),
    kernel=st.tuples(st.integers(1, 5), st.sampled_from([1, 3, 5])),
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
    size=st.tuples(st.integers(5, 14), st.integers(5, 14)),
    kernel=st.tuples(st.integers(1, 5), st.sampled_from([1, 3, 5])),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    act=st.sampled_from([None, nn.ReLU(), nn.SiLU(), nn.Tanh()]),
    bias=st.booleans(),
)
def test_any_depthwise_convolution(channels, size, kernel, stride, padding, act, bias):
    torch.manual_seed(channels)
    conv = nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=bias)
    assert single(conv)
    check(DepthwiseConv(conv, act, Plan(1, 1, False)), conv, act, torch.randn(2, channels, *size))


@settings(deadline=None, max_examples=60)
@given(
    group=st.sampled_from([2, 4, 8, 16, 32]),
    blocks=st.integers(1, 3),
    size=st.tuples(st.integers(3, 17), st.integers(3, 17)),
    rows=st.integers(1, 4),
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
    check(GroupedConv(conv, act, Plan(1, 1, False)), conv, act, torch.randn(2, maps, *size))


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


@pytest.mark.parametrize("layer", [DepthwiseConv, GroupedConv])
def test_nothing_is_added_by_layers_in_groups(layer):
    conv = nn.Conv2d(32, 32, 3, padding=1, groups=32 if layer is DepthwiseConv else 8)
    x = torch.randn(1, 32, 5, 5).contiguous(memory_format=torch.channels_last)
    with pytest.raises(InputError, match="adds no maps"):
        layer(conv, None, Plan(1, 1, False))(x, x)


@pytest.mark.parametrize("kind", [DepthwiseConv, ProductConv])
def test_maps_smaller_than_the_filters_are_refused(kind):
    conv = nn.Conv2d(8, 8, 3, groups=8 if kind is DepthwiseConv else 1)
    layer = kind(conv, None, Plan(1, 8, False))
    for size in ((5, 2), (2, 5)):
        with pytest.raises(InputError, match="see nothing"):
            layer(torch.randn(1, 8, *size))


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
        3e38,
        -3e38,
    ]
    x = torch.tensor([*special, *torch.linspace(-20, 20, 1001).tolist()]).view(1, 1, 1, -1)
    with torch.inference_mode():
        found = DepthwiseConv(conv, act, Plan(1, 1, False))(x)
        expected = act(x.double()).float()
    torch.testing.assert_close(found, expected, rtol=3e-7, atol=1e-35, equal_nan=True)


@settings(deadline=None, max_examples=60)
@given(
    channels=st.integers(1, 140),
    size=st.tuples(st.integers(4, 12), st.integers(4, 12)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    mean=st.sampled_from([None, True, False]),
    ceil=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 9),
)
def test_any_pooling(channels, size, kernel, stride, mean, ceil, dtype, seed):
    torch.manual_seed(seed)
    ceil = ceil and mean is None
    padding = tuple(int(torch.randint(side // 2 + 1, ())) for side in kernel)
    how = {"stride": stride, "padding": padding}
    like = nn.Conv2d(
        channels, channels, kernel, groups=channels, bias=False, device="meta", dtype=dtype, **how
    )
    wide = torch.randn(2, channels + seed, *size).to(dtype)
    x = wide.contiguous(memory_format=torch.channels_last)[:, seed:]
    with torch.inference_mode():
        found = NativePool(like, mean, ceil)(x)
    if mean is None:
        wanted = nn.functional.max_pool2d(x, kernel, ceil_mode=ceil, **how)
        assert torch.equal(found, wanted)
    else:
        wanted = nn.functional.avg_pool2d(x, kernel, count_include_pad=mean, **how)
        torch.testing.assert_close(found, wanted)


def test_the_largest_of_what_is_not_a_number():
    x = torch.tensor([torch.nan, 1.0, 2.0, -torch.inf, torch.nan, 3.0]).view(1, 1, 1, 6)
    like = nn.Conv2d(1, 1, (1, 2), groups=1, bias=False)
    with torch.inference_mode():
        found = NativePool(like, None)(x)
    torch.testing.assert_close(found, nn.functional.max_pool2d(x, (1, 2), 1), equal_nan=True)


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


KINDS = [(WinogradConv, PLANS[0]), (ProductConv, PRODUCTS[1])]
kinds = pytest.mark.parametrize(("kind", "plan"), KINDS)


@kinds
@pytest.mark.parametrize("kernel", [1, 3])
def test_parts_of_other_maps_are_read_where_they_lie(kind, plan, kernel):
    if (kind, kernel) == (WinogradConv, 1):
        pytest.skip("of 3x3 alone")
    conv = nn.Conv2d(20, 8, kernel, padding=kernel // 2)
    layer = kind(conv, None, plan)
    wide = torch.randn(2, 48, 12, 14).contiguous(memory_format=torch.channels_last)
    check(layer, conv, None, wide[:, 16:36])  # of more channels
    check(layer, conv, None, wide[:, :20, 2:10, 3:9], wide[:, 30:38, 4:, :6])  # and of an image
    check(layer, conv, None, torch.randn(2, 20, 9, 9))  # channels first
    check(layer, conv, None, torch.randn(20, 9, 9).expand(2, -1, -1, -1))


@kinds
@pytest.mark.parametrize("act", [nn.ReLU(), nn.SiLU()])
def test_it_writes_where_it_is_told(kind, plan, act):
    conv, x = nn.Conv2d(8, 12, 3, padding=1), torch.randn(2, 8, 9, 7)
    layer = kind(conv, act, plan)
    wide = torch.zeros(2, 40, 9, 7).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        layer(x, out=wide[:, 20:32])
        torch.testing.assert_close(wide[:, 20:32], act(conv(x)), rtol=1e-4, atol=1e-5)
    assert not wide[:, :20].any()
    assert not wide[:, 32:].any()
    wide[:, :16] = torch.randn(2, 16, 9, 7)
    added = wide[:, 4:16].clone()
    with torch.inference_mode():
        wanted = act(conv(x) + added)
        layer(x, wide[:, 4:16], wide[:, 4:16])  # over what is added
        torch.testing.assert_close(wide[:, 4:16], wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="channels last; that does not fit"):
        layer(x, out=torch.zeros(2, 12, 9, 7))
    with pytest.raises(InputError, match=r"does not fit \[2, 40, 9, 7\]"):
        layer(x, out=wide)
    with pytest.raises(InputError, match=r"of torch\.float64"):
        layer(x, wide[:, :12].double())


@kinds
def test_not_a_number_stays_where_it_is_seen(kind, plan):
    conv = nn.Conv2d(4, 3, 3, padding=1)
    x = torch.zeros(1, 4, 12, 12)
    x[0, 0, 0, 0] = torch.nan
    with torch.inference_mode():
        found = kind(conv, nn.ReLU(), plan)(x)
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


@kinds
def test_a_copy_computes_the_same(kind, plan):
    conv, x = nn.Conv2d(8, 8, 3), torch.randn(1, 8, 100, 100)
    layer = kind(conv, nn.ReLU(), plan)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        with torch.inference_mode():
            assert torch.equal(twin(x), layer(x))


@kinds
def test_one_thread_gives_what_two_give(kind, plan):
    conv, x = nn.Conv2d(24, 40, 3), torch.randn(2, 24, 20, 20)
    layer, threads = kind(conv, None, plan), torch.get_num_threads()
    with torch.inference_mode():
        torch.set_num_threads(2)
        both = layer(x)
        torch.set_num_threads(1)
        one = layer(x)
    torch.set_num_threads(threads)
    assert torch.equal(both, one)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(("kind", "tile"), [(WinogradConv, 4), (ProductConv, 1)])
def test_threads_of_python_do_not_disturb_each_other(kind, tile, together):
    conv = nn.Conv2d(16, 32, 3, padding=1)
    layer = kind(conv, None, Plan(tile, 12, together))
    images = [torch.randn(1, 16, 60, 60) for _ in range(12)]
    with torch.inference_mode():
        alone = [layer(x).clone() for x in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(layer, images * 3))
    assert all(torch.equal(y, alone[i % 12]) for i, y in enumerate(found))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(8, 8, 3, dilation=2),
        nn.Conv2d(8, 8, 3, groups=2),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(8, 8, (3, 2), padding="same"),
        nn.Conv2d(8, 8, 3).double(),
    ],
)
def test_what_is_left_to_torch(conv):
    assert not takes(conv)
    assert not filters(conv)


def test_what_is_filtered():
    assert filters(nn.Conv2d(8, 8, 3))
    for conv in (nn.Conv2d(8, 8, 5), nn.Conv2d(8, 8, (1, 3)), nn.Conv2d(8, 8, 3, stride=2)):
        assert takes(conv)
        assert not filters(conv)


@pytest.mark.parametrize(
    "x", [torch.zeros(1, 7, 9, 9), torch.zeros(1, 8, 9, 9, dtype=torch.float64)]
)
def test_other_maps_than_it_was_made_for(x):
    for kind, plan in KINDS:
        layer = kind(nn.Conv2d(8, 8, 3), None, plan)
        with pytest.raises(InputError, match=r"needs 8 maps of torch\.float32"):
            layer(x)
