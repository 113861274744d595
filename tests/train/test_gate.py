"""Squeeze-and-excitation while a network learns: the values and gradients of torch's operations."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_pass import gradients

from convatlas.architectures.efficientnet import SqueezeExcite
from convatlas.native.build import no_compiler
from convatlas.train.fused import computed, find_fused


@pytest.fixture(autouse=True, scope="module")
def compiler():
    if no_compiler():
        pytest.skip(no_compiler())


@settings(deadline=None, max_examples=40)
@given(
    images=st.integers(1, 4),
    channels=st.integers(1, 70),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    last=st.booleans(),
)
def test_values_and_gradients(images, channels, height, width, last):
    torch.manual_seed(channels)
    block = SqueezeExcite(channels, 4)
    x = torch.randn(images, channels, height, width)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    found, expected = (gradients(block, x, fused) for fused in (True, False))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max().item())


def test_bfloat16():
    torch.manual_seed(0)
    block, x = SqueezeExcite(40, 10), torch.randn(4, 40, 28, 28)
    exact = gradients(block, x, fused=False)
    block, x = block.bfloat16(), x.bfloat16()
    found, rounded = (gradients(block, x, fused) for fused in (True, False))
    for ours, theirs, value in zip(found, rounded, exact, strict=True):
        far = (theirs.float() - value).norm()
        assert (ours.float() - value).norm() <= 1.1 * far + 1e-3 * value.norm()


def test_gradients_of_parts_of_wider_maps():
    torch.manual_seed(0)
    block, x = SqueezeExcite(20, 5), torch.randn(2, 20, 9, 9)
    found = []
    for fused in (True, False):
        given = x.clone().requires_grad_()
        with computed(find_fused(block) if fused else []):
            y = block(given)
        torch.cat([y, y.detach()], 1).contiguous(
            memory_format=torch.channels_last
        ).square().sum().backward()
        found.append(given.grad)
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", ["pool", "gate"])
def test_hooks_see_every_layer(part):
    block, seen = SqueezeExcite(8, 2), []
    getattr(block, part).register_forward_hook(lambda *given: seen.append(given[2].shape))
    gradients(block, torch.randn(2, 8, 5, 5), fused=True)
    assert seen == [(2, 8, 1, 1)]


def test_in_evaluation_it_gives_the_same():
    block, x = SqueezeExcite(8, 2).eval(), torch.randn(2, 8, 5, 5)
    with torch.no_grad():
        expected = block(x)
        with computed(find_fused(block)):
            torch.testing.assert_close(block(x), expected)
