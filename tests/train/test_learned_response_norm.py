"""Local response normalisation while a network learns, against the formula in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convatlas.layers import LocalResponseNorm
from convatlas.native.build import no_compiler
from convatlas.train.fused import computed, find_fused
from convatlas.train.response_norm import find_response_norms


@pytest.fixture(autouse=True, scope="module")
def compiler():
    if no_compiler():
        pytest.skip(no_compiler())


def learn(norm: nn.Module, x: Tensor, fused: bool, joined: bool = False) -> list[Tensor]:
    """Give the output and the gradient; `joined`: that of the output is a part of wider maps."""
    x = x.clone().requires_grad_()
    with computed(find_fused(norm) if fused else []):
        y = norm(x)
    wide = torch.cat([y, x.detach()], dim=1) if joined else y
    draw = torch.Generator().manual_seed(1)
    wide.backward(torch.randn(wide.shape, generator=draw).to(wide))
    return [y.detach(), x.grad]


@settings(deadline=None, max_examples=60)
@given(
    images=st.integers(1, 3),
    channels=st.integers(1, 40),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    size=st.integers(1, 7),
    alpha=st.sampled_from([1e-4, 0.3]),
    scale=st.sampled_from([1.0, 300.0]),
    last=st.booleans(),
    joined=st.booleans(),
)
def test_any_shape(images, channels, height, width, size, alpha, scale, last, joined):
    draw = torch.Generator().manual_seed(images + channels)
    x = scale * torch.randn(images, channels, height, width, generator=draw)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    norm = LocalResponseNorm(size, alpha)
    found = learn(norm, x, fused=True, joined=joined)
    exact = learn(norm, x.double(), fused=False, joined=joined)
    for ours, expected in zip(found, exact, strict=True):
        error = (ours - expected).abs().max() / expected.abs().max()
        assert error < 3e-6


def test_bfloat16_rounds_once():
    torch.manual_seed(0)
    norm, x = LocalResponseNorm(), (20 * torch.randn(2, 30, 5, 5)).bfloat16()
    found, exact = learn(norm, x, fused=True), learn(norm, x.double(), fused=False)
    assert found[0].dtype == torch.bfloat16
    for ours, expected in zip(found, exact, strict=True):
        error = (ours.double() - expected).abs().max() / expected.abs().max()
        assert error < 2**-8


def test_others_take_torch():
    norm = LocalResponseNorm()
    for x in (torch.randn(2, 6, 4, 4).double(), torch.randn(2, 6, 4)):
        with computed(find_fused(norm)):
            assert torch.equal(norm(x), LocalResponseNorm()(x))
    assert not find_response_norms(LocalResponseNorm(beta=0.5))
    assert not find_response_norms(nn.LocalResponseNorm(5))


def test_no_images():
    with computed(find_fused(norm := LocalResponseNorm())):
        assert norm(torch.empty(0, 6, 4, 4)).shape == (0, 6, 4, 4)
