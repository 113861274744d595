"""Poolings by code of our own against those of torch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from convatlas.engines.native_pool import NativePool

pytestmark = pytest.mark.usefixtures("compiler")


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
