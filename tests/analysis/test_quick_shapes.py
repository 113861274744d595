"""The quick rules for shapes give what torch's own give, or leave it to them."""

import subprocess
import sys
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from convatlas.analysis.quick_shapes import QUICK

aten = torch.ops.aten
few = st.integers(1, 3)
sides = st.integers(1, 12)


def same(operation, *args) -> None:
    """Compare with torch; where torch refuses, so does the rule, or it leaves it to torch."""
    expected = None
    with suppress(RuntimeError, ValueError, IndexError):
        expected = operation(*args)
    found = QUICK[operation.overloadpacket](*args)
    if found is None or expected is None:
        assert found is None
        return
    many = [(v,) if isinstance(v, Tensor) else v for v in (found, expected)]
    for ours, theirs in zip(*many, strict=True):
        assert (ours.shape, ours.dtype, ours.device) == (theirs.shape, theirs.dtype, theirs.device)


def maps(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


@settings(max_examples=60, deadline=None)
@given(sides, sides, few, few, few, st.integers(0, 2), st.booleans())
def test_poolings(height, width, rows, columns, stride, padding, ceil):
    x, kernel, pad = maps(2, 3, height, width), [rows, columns], [padding, padding]
    same(aten.max_pool2d_with_indices.default, x, kernel, [stride] * 2, pad, [1, 1], ceil)
    same(aten.avg_pool2d.default, x, kernel, [stride] * 2, pad, ceil)
    same(aten.avg_pool2d.default, x, kernel, [], pad, ceil)
    same(aten.avg_pool3d.default, x[:, None], [rows, 1, columns], [stride] * 3, [0] * 3, ceil)
    same(aten._adaptive_avg_pool2d.default, x, [rows, columns])


@settings(max_examples=60, deadline=None)
@given(sides, sides, few, few, few, st.integers(0, 2), st.integers(0, 2), st.booleans())
def test_convolutions(height, width, kernel, stride, dilation, padding, more, transposed):
    x = maps(2, 4, height, width)
    for groups in (1, 2):
        shape = (4, 6 // groups) if transposed else (6, 4 // groups)
        weight = maps(*shape, kernel, kernel)
        add = [more if transposed and more < max(stride, dilation) else 0] * 2
        how = ([stride] * 2, [padding] * 2, [dilation] * 2, transposed, add, groups)
        same(aten.convolution.default, x, weight, None, *how)


shapes = st.lists(st.sampled_from([1, 1, 2, 3]), min_size=0, max_size=4)


@settings(max_examples=60, deadline=None)
@given(shapes, shapes)
def test_broadcasting(one, two):
    same(aten.add.Tensor, maps(*one), maps(*two))


@pytest.mark.parametrize("keep", [True, False])
def test_sums_and_means(keep):
    for dims in ([1], [2, 3], [-1, 0]):
        same(aten.sum.dim_IntList, maps(2, 3, 4, 5), dims, keep)
        same(aten.mean.dim, maps(2, 3, 4, 5), dims, keep)


@pytest.mark.slow
def test_no_network_needs_the_compiler_to_be_analysed():
    """Its import takes a second; one network for each kind of operation."""
    names = ["lenet5", "alexnet", "googlenet", "unet", "resnet50", "densenet121", "efficientnet_b0"]
    code = f"""
import sys
from convatlas.analysis.report import analyze_name
for name in {names}:
    analyze_name(name)
    assert "sympy" not in sys.modules, name
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
