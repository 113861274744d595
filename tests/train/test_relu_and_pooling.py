"""ReLU and max pooling while a network learns: bit for bit what torch computes."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convatlas.native.build import no_compiler
from convatlas.train.fused import computed, find_fused
from convatlas.train.max_pool import find_max_pools
from convatlas.train.relu import find_relus

TYPES = [torch.float32, torch.bfloat16]


@pytest.fixture(autouse=True, scope="module")
def compiler():
    if no_compiler():
        pytest.skip(no_compiler())


def learn(layer: nn.Module, x: Tensor, joined: str, fused: bool) -> list[Tensor]:
    """Give the output and the gradient; `joined`: how the gradient of the output lies."""
    x = x.clone().requires_grad_()
    with computed(find_fused(layer) if fused else []):
        y = layer(x)
    draw = torch.Generator().manual_seed(1)
    if joined == "parts":
        wide = torch.cat([y, x.detach().new_ones(len(y), 5, *y.shape[2:])], dim=1)
        wide.backward(torch.randint(-9, 9, wide.shape, generator=draw).to(y))
    elif joined == "flat":
        y.flatten(1).backward(torch.randint(-9, 9, (len(y), y[0].numel()), generator=draw).to(y))
    else:
        y.backward(torch.randint(-9, 9, y.shape, generator=draw).to(y))
    return [y.detach(), x.grad]


def check(layer: nn.Module, x: Tensor, joined: str) -> None:
    found, expected = (learn(layer, x, joined, fused) for fused in (True, False))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def maps(size: tuple[int, ...], kind: torch.dtype, last: bool) -> Tensor:
    """Draw maps with many equal values, so that there are ties, and some that are no numbers."""
    draw = torch.Generator().manual_seed(sum(size))
    x = torch.randint(-3, 4, size, generator=draw).to(kind)
    x.view(-1)[:: x.numel() // 7 + 3] = float("nan")
    x.view(-1)[1 :: x.numel() // 5 + 4] = float("-inf")
    return x.contiguous(memory_format=torch.channels_last) if last else x


SHAPES = {
    "images": st.integers(1, 3),
    "channels": st.integers(1, 40),
    "height": st.integers(1, 11),
    "width": st.integers(1, 11),
    "kind": st.sampled_from(TYPES),
    "last": st.booleans(),
    "joined": st.sampled_from(["parts", "flat", "whole"]),
}


@settings(deadline=None, max_examples=60)
@given(**SHAPES)
def test_relu(images, channels, height, width, kind, last, joined):
    check(nn.ReLU(), maps((images, channels, height, width), kind, last), joined)


@settings(deadline=None, max_examples=150)
@given(
    **SHAPES,
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    up=st.booleans(),
)
def test_max_pooling(
    images, channels, height, width, kind, last, joined, size, stride, padding, up
):
    assume(all(2 * pad <= side for pad, side in zip(padding, size, strict=True)))
    x = maps((images, channels, height, width), kind, last)
    pool = nn.MaxPool2d(size, stride, padding, ceil_mode=up)
    try:
        pool(x)
    except RuntimeError:  # no window fits
        with computed(find_fused(pool)), pytest.raises(RuntimeError):
            pool(x)
        return
    check(pool, x, joined)


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.MaxPool2d(3, 2)])
def test_images_without_number(layer):
    """No images: torch answers."""
    with computed(find_fused(layer)):
        assert len(layer(torch.empty(0, 4, 8, 8))) == 0


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.MaxPool2d(3, 2)])
def test_other_tensors_take_torch(layer):
    for x in (torch.randn(4, 8, 8), torch.randn(2, 4, 8, 8).double()):
        with computed(find_fused(layer)):
            found = layer(x)
        assert torch.equal(found, layer(x))


def test_other_layers_stay_as_they_are():
    assert not find_relus(nn.ReLU(inplace=True))
    assert not find_relus(nn.ReLU6())
    assert not find_max_pools(nn.MaxPool2d(3, dilation=2))
    assert not find_max_pools(nn.MaxPool2d(3, return_indices=True))
    assert not find_max_pools(nn.MaxPool2d(16))
    assert not find_max_pools(nn.MaxPool2d(2, padding=2))
    assert not find_max_pools(nn.AvgPool2d(2))
    assert find_max_pools(nn.MaxPool2d(15))


@pytest.mark.parametrize("kind", TYPES)
def test_pooling_takes_the_relu_before_it_along(kind):
    line = nn.Sequential(nn.Sequential(nn.Identity(), nn.ReLU()), nn.MaxPool2d(3, 2, 1))
    (pool,) = find_max_pools(line)
    assert pool.act is line[0][1]
    check(line, maps((2, 20, 9, 9), kind, last=True), "parts")


def test_a_relu_that_others_see_stays_where_it_is():
    act, pool = nn.ReLU(), nn.MaxPool2d(2)
    normed = nn.Sequential(nn.BatchNorm2d(4), act, pool)
    assert find_max_pools(normed)[0].act is None
    twice = nn.ModuleList([nn.Sequential(act, pool), nn.Sequential(act, nn.Identity())])
    assert find_max_pools(twice)[0].act is None
    again = nn.ModuleList([nn.Sequential(act, pool), pool])
    assert find_max_pools(again)[0].act is None

    class Taps(nn.Sequential):
        def forward(self, x):
            return [x := layer(x) for layer in self]

    assert find_max_pools(Taps(act, pool))[0].act is None


def test_who_looks_into_a_line_sees_what_torch_gives():
    inner = nn.Sequential(nn.Identity(), nn.ReLU())
    line, seen = nn.Sequential(inner, nn.MaxPool2d(2)), []
    x = torch.randn(2, 4, 6, 6)
    fused = find_fused(line)
    for module in (inner, inner[1]):
        hook = module.register_forward_hook(lambda *given: seen.append(given[2]))
        with computed(fused):
            line(x)
        hook.remove()
    assert all(torch.equal(one, x.relu()) for one in seen)
    assert len(seen) == 2


def test_layers_are_as_before_afterwards():
    line = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))
    own = line[1].forward = lambda x: x
    with computed(fused := find_fused(line)), computed(fused):
        assert line(torch.ones(1, 4, 4, 4)).shape == (1, 4, 2, 2)
    assert line[1].forward is own
    assert "forward" not in vars(line[0])
