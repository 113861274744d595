"""The gradients of depthwise convolutions, against torch's in float64."""

import pytest
import torch
from layer_pass import gradients
from torch import nn

from convatlas.native.build import no_compiler
from convatlas.train.depthwise import Depthwise, find_depthwise


@pytest.fixture(autouse=True)
def compiler():
    if no_compiler():
        pytest.skip(no_compiler())


@pytest.fixture
def always(monkeypatch):
    """Ours, also where oneDNN is quicker."""
    monkeypatch.setattr(Depthwise, "pays", lambda *_: True)


@pytest.mark.parametrize(
    ("channels", "side", "size", "stride", "padding"),
    [
        (32, (14, 14), 3, 1, 1),
        (17, (9, 6), 3, 2, 1),
        (48, (15, 8), 5, 2, 2),
        (16, (7, 7), 5, 1, 2),
        (40, (2, 1), 5, 1, 2),  # the filter is larger than the maps
        (2, (11, 5), 3, 3, 0),
        (20, (12, 12), 1, 4, 0),  # rows and columns that no filter sees
        (3, (8, 8), 7, 1, 3),
    ],
)
def test_they_are_those_of_torch(always, channels, side, size, stride, padding):
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, channels, size, stride, padding, groups=channels, bias=False)
    x = torch.randn(3, channels, *side)
    assert find_depthwise(conv)
    found = gradients(conv, x, fused=True)
    exact = gradients(conv.double(), x.double(), fused=False)
    for ours, expected in zip(found, exact, strict=True):
        torch.testing.assert_close(ours.double(), expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_as_near_as_torch_is(always):
    torch.manual_seed(0)
    conv = nn.Conv2d(24, 24, 3, padding=1, groups=24, bias=False)
    with torch.no_grad():
        conv.weight.copy_(conv.weight.bfloat16())  # so that both multiply the same numbers
    x = torch.randn(2, 24, 12, 12).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found, plain = (gradients(conv, x, fused=fused) for fused in (True, False))
    exact = gradients(conv.double(), x.double(), fused=False)
    for ours, theirs, value in zip(found, plain, exact, strict=True):
        far = (ours.double() - value).abs().max()
        assert far <= 1.1 * (theirs.double() - value).abs().max() + 0.02 * value.abs().max()


def test_threads_do_not_change_the_bits(always):
    conv = nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False)
    x, threads, found = torch.randn(5, 32, 20, 20), torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(gradients(conv, x, fused=True)[1:])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_other_convolutions_stay_as_they_are():
    assert not find_depthwise(nn.Conv2d(4, 4, 3, bias=False))
    assert not find_depthwise(nn.Conv2d(4, 8, 3, groups=4, bias=False))
    assert not find_depthwise(nn.Conv2d(4, 4, 3, groups=4))
    assert not find_depthwise(nn.Conv2d(4, 4, 3, padding="same", groups=4, bias=False))
    assert not find_depthwise(nn.Conv2d(4, 4, (1, 3), groups=4, bias=False))
    assert not find_depthwise(nn.Conv2d(4, 4, 3, groups=4, bias=False, padding_mode="circular"))


def test_where_onednn_is_quicker_it_computes():
    def pays(size, stride, kind):
        conv = nn.Conv2d(8, 8, size, stride, groups=8, bias=False)
        return Depthwise(conv).pays(kind)

    assert pays(5, 1, torch.float32)
    assert pays(3, 2, torch.bfloat16)
    assert not pays(3, 2, torch.float32)
    assert not pays(3, 1, torch.bfloat16)
