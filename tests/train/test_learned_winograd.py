"""Winograd's convolution while a network learns, against torch's in float64."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_pass import gradients
from torch import Tensor, nn

from convatlas.native import build
from convatlas.native.build import no_compiler
from convatlas.train import winograd
from convatlas.train.fused import computed, find_fused
from convatlas.train.winograd import Winograd, find_winograd


@pytest.fixture(autouse=True)
def compiler():
    if no_compiler():
        pytest.skip(no_compiler())


def check(conv: nn.Conv2d, x: Tensor) -> None:
    found = gradients(conv, x, fused=True)
    exact = gradients(copy.deepcopy(conv).double(), x.double(), fused=False)
    for ours, expected in zip(found, exact, strict=True):
        assert ours.shape == expected.shape
        error = (ours - expected).abs().max() / expected.abs().max().clamp(min=1e-3)
        assert error < 3e-5


@settings(deadline=None, max_examples=30)
@given(
    channels=st.integers(16, 90),
    maps=st.integers(64, 140),
    height=st.integers(3, 13),
    width=st.integers(3, 13),
    images=st.integers(1, 3),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    groups=st.sampled_from([1, 1, 2, 3]),
    bias=st.booleans(),
    last=st.booleans(),
)
def test_any_shape(channels, maps, height, width, images, padding, groups, bias, last):
    torch.manual_seed(channels + maps)
    channels, maps = groups * channels, groups * maps
    conv = nn.Conv2d(channels, maps, 3, padding=padding, groups=groups, bias=bias)
    x = torch.randn(images, channels, height, width)
    if last:
        x, conv = (one.to(memory_format=torch.channels_last) for one in (x, conv))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "_LEAST_OUTPUTS", 1)
        check(conv, x)


def test_many_images_in_several_blocks():
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 64, 3, padding=1)
    x = torch.randn(6, 64, 45, 50)  # 936 tiles
    assert Winograd(conv).pays(x)
    check(conv, x)


def test_threads_do_not_change_the_bits():
    conv = nn.Conv2d(40, 72, 3, padding=1)
    x, threads, found = torch.randn(5, 40, 20, 20), torch.get_num_threads(), []
    assert Winograd(conv).pays(x)
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(gradients(conv, x, fused=True))
    finally:
        torch.set_num_threads(threads)
    ours, same = found
    pairs = list(zip(ours, same, strict=True))
    assert all(torch.equal(*pair) for pair in pairs[:3])  # torch adds up the bias
    torch.testing.assert_close(*pairs[3])


def test_a_frozen_convolution_only_passes_gradients_on():
    conv = nn.Conv2d(64, 64, 3, padding=1).requires_grad_(False)
    x = torch.randn(8, 64, 20, 20).requires_grad_()
    with computed(find_fused(conv)):
        conv(x).sum().backward()
    assert x.grad is not None
    assert conv.weight.grad is None
    assert conv.bias.grad is None


def test_the_first_layer_takes_no_gradient_of_images():
    conv = nn.Conv2d(64, 64, 3, padding=1, bias=False)
    x = torch.randn(8, 64, 20, 20)
    with computed(find_fused(conv)):
        conv(x).sum().backward()
    assert x.grad is None
    assert conv.weight.grad is not None


def test_no_images_give_no_gradient(monkeypatch):
    monkeypatch.setattr(winograd, "_LEAST_OUTPUTS", 0)
    conv = nn.Conv2d(64, 64, 3, padding=1)
    y, of_x, of_weight, of_bias = gradients(conv, torch.randn(0, 64, 20, 20), fused=True)
    assert y.shape == (0, 64, 20, 20)
    assert of_x.shape == (0, 64, 20, 20)
    assert not of_weight.any()
    assert not of_bias.any()


def test_where_it_pays():
    conv = Winograd(nn.Conv2d(64, 64, 3, padding=1))
    assert conv.pays(torch.empty(16, 64, 14, 14))
    assert conv.pays(torch.empty(16, 64, 8, 8))
    assert not conv.pays(torch.empty(16, 64, 7, 7))  # 784 outputs a map
    assert not conv.pays(torch.empty(16, 64, 14, 14, dtype=torch.bfloat16))
    assert not conv.pays(torch.empty(16, 64, 14, 14, device="meta"))


def test_bfloat16_is_that_of_torch():
    conv, x = nn.Conv2d(64, 64, 3, padding=1), torch.randn(8, 64, 20, 20)
    with torch.autocast("cpu", torch.bfloat16):
        found, plain = (gradients(conv, x, fused=fused) for fused in (True, False))
    assert found[0].dtype == torch.bfloat16
    assert all(torch.equal(*pair) for pair in zip(found, plain, strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2},
        {"dilation": 2},
        {"groups": 4},  # 16 x 16 filters each
        {"padding": "same"},
        {"padding": 3},
        {"padding": 1, "padding_mode": "circular"},
    ],
)
def test_other_convolutions_stay_as_they_are(options):
    assert not find_winograd(nn.Conv2d(64, 64, 3, **options))


def test_other_filters_and_few_maps_stay_as_they_are():
    assert not find_winograd(nn.Conv2d(64, 64, (3, 1)))
    assert not find_winograd(nn.Conv2d(3, 64, 3))
    assert not find_winograd(nn.Conv2d(16, 16, 3))
    assert not find_winograd(nn.Conv2d(64, 64, 3).double())
    assert find_winograd(nn.Sequential(nn.Conv2d(64, 64, 3, padding=(0, 2))))


def test_wrong_maps_meet_the_error_of_torch():
    conv = nn.Conv2d(64, 64, 3, padding=1)
    with computed(find_fused(conv)):
        for x in (torch.randn(8, 63, 20, 20), torch.randn(8, 64, 0, 20)):
            with pytest.raises(RuntimeError):
                conv(x)


def test_without_a_compiler_nothing_is_found(monkeypatch):
    monkeypatch.setattr(build, "_compiler", list)
    monkeypatch.setattr("convatlas.train.winograd.can_learn", lambda: not no_compiler())
    assert not find_winograd(nn.Conv2d(64, 64, 3))


def test_the_default_types_of_torch_do_not_matter():
    conv, x = nn.Conv2d(64, 64, 3, padding=1), torch.randn(8, 64, 20, 20)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        found = gradients(conv, x, fused=True)
    finally:
        torch.set_default_dtype(before)
    assert {one.dtype for one in found} == {torch.float32}
    assert torch.equal(found[0], gradients(conv, x, fused=True)[0])


def test_weights_of_another_type_take_torch():
    conv, x = nn.Conv2d(64, 64, 3, padding=1), torch.randn(8, 64, 20, 20)
    fused = find_fused(conv)
    with computed(fused):
        assert conv.double()(x.double()).dtype == torch.float64
