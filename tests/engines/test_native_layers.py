"""What all layers by code of our own do: where they read and write, copies, threads, refusals."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from native_checks import PRODUCTS, TILES, check
from torch import nn

from convatlas.engines.depthwise_conv import DepthwiseConv
from convatlas.engines.grouped_conv import GroupedConv
from convatlas.engines.native_layer import takes
from convatlas.engines.product_conv import ProductConv
from convatlas.engines.winograd_conv import WinogradConv, filters
from convatlas.errors import InputError
from convatlas.native.maps import WHOLE, Plan

pytestmark = pytest.mark.usefixtures("compiler")


KINDS = [(WinogradConv, TILES[0]), (ProductConv, PRODUCTS[1])]
kinds = pytest.mark.parametrize(("kind", "plan"), KINDS)


@pytest.mark.parametrize("layer", [DepthwiseConv, GroupedConv])
def test_nothing_is_added_by_layers_in_groups(layer):
    conv = nn.Conv2d(32, 32, 3, padding=1, groups=32 if layer is DepthwiseConv else 8)
    x = torch.randn(1, 32, 5, 5).contiguous(memory_format=torch.channels_last)
    with pytest.raises(InputError, match="adds no maps"):
        layer(conv, None, WHOLE)(x, x)


@pytest.mark.parametrize("kind", [DepthwiseConv, ProductConv])
def test_maps_smaller_than_the_filters_are_refused(kind):
    conv = nn.Conv2d(8, 8, 3, groups=8 if kind is DepthwiseConv else 1)
    layer = kind(conv, None, Plan(1, 8, False))
    for size in ((5, 2), (2, 5)):
        with pytest.raises(InputError, match="see nothing"):
            layer(torch.randn(1, 8, *size))


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
@pytest.mark.parametrize("maps", [12, 80])
def test_it_writes_where_it_is_told(kind, plan, act, maps):
    conv, x = nn.Conv2d(8, maps, 3, padding=1), torch.randn(2, 8, 9, 7)
    layer = kind(conv, act, plan)
    wide = torch.zeros(2, maps + 28, 9, 7).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        layer(x, out=wide[:, 20:-8])
        torch.testing.assert_close(wide[:, 20:-8], act(conv(x)), rtol=1e-4, atol=1e-5)
    assert not wide[:, :20].any()
    assert not wide[:, -8:].any()
    wide[:, : maps + 4] = torch.randn(2, maps + 4, 9, 7)
    added = wide[:, 4 : maps + 4].clone()
    with torch.inference_mode():
        wanted = act(conv(x) + added)
        layer(x, wide[:, 4 : maps + 4], wide[:, 4 : maps + 4])  # over what is added
        torch.testing.assert_close(wide[:, 4 : maps + 4], wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="channels last; that does not fit"):
        layer(x, out=torch.zeros(2, maps, 9, 7))
    with pytest.raises(InputError, match=rf"does not fit \[2, {maps + 28}, 9, 7\]"):
        layer(x, out=wide)
    with pytest.raises(InputError, match=r"of torch\.float64"):
        layer(x, wide[:, :maps].double())


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


@pytest.mark.parametrize(
    "x", [torch.zeros(1, 7, 9, 9), torch.zeros(1, 8, 9, 9, dtype=torch.float64)]
)
def test_other_maps_than_it_was_made_for(x):
    for kind, plan in KINDS:
        layer = kind(nn.Conv2d(8, 8, 3), None, plan)
        with pytest.raises(InputError, match=r"needs 8 maps of torch\.float32"):
            layer(x)
