"""Layers that several papers share."""

import math
import re

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.layers import (
    Classifier,
    ConvNorm,
    LocalResponseNorm,
    caffe_xavier_,
    check_images,
    check_map,
    draw_layers,
    drawn_once,
    fill_bias_,
    he_fan_in_,
    he_normal_,
    image_sides,
    make_chain,
    map_side,
    torch_bias_,
    truncated_normal_,
)


def response_normed(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """Krizhevsky et al. 2012, section 3.3, as it is printed."""
    channels = x.shape[1]
    y = torch.empty_like(x)
    for i in range(channels):
        first, last = max(0, i - size // 2), min(channels - 1, i + size // 2)
        energy = sum(x[:, j] ** 2 for j in range(first, last + 1))
        y[:, i] = x[:, i] / (k + alpha * energy) ** beta
    return y


@pytest.mark.parametrize(
    ("size", "alpha", "beta", "k"),
    [(5, 1e-4, 0.75, 2.0), (5, 2e-5, 0.75, 1.0), (3, 0.1, 0.5, 1.0), (9, 1e-2, 1.0, 0.5)],
)
@pytest.mark.parametrize("channels", [1, 2, 5, 11])
def test_local_response_norm_is_the_printed_formula(size, alpha, beta, k, channels):
    x = 100 * torch.randn(2, channels, 3, 4, generator=torch.Generator().manual_seed(0))
    y = LocalResponseNorm(size, alpha, beta, k)(x)
    torch.testing.assert_close(y, response_normed(x, size, alpha, beta, k), rtol=1e-5, atol=1e-5)


def test_torch_takes_five_times_the_alpha_of_the_paper():
    x = 100 * torch.randn(2, 11, 3, 4, generator=torch.Generator().manual_seed(0))
    y = LocalResponseNorm()(x)
    torch.testing.assert_close(y, nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)(x))
    assert (y - nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)(x)).abs().max() > 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_local_response_norm_keeps_the_type_and_does_not_overflow(dtype):
    x = 1000 * torch.randn(1, 8, 2, 2, generator=torch.Generator().manual_seed(0)).to(dtype)
    y = LocalResponseNorm()(x)
    assert y.dtype == dtype
    expected = LocalResponseNorm()(x.float()).to(dtype)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 4])
def test_he_normal_has_the_variance_of_the_fan_out(groups):
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 128, 3, groups=groups)
    he_normal_(conv)
    weight, expected = conv.weight.detach(), math.sqrt(2 / (3 * 3 * 128))
    error = 4 / math.sqrt(2 * weight.numel())  # four standard errors of a normal's deviation
    assert weight.std().item() == pytest.approx(expected, rel=error)
    assert abs(weight.mean().item()) < 4 * expected / math.sqrt(weight.numel())


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_conv_norm_keeps_the_size_but_for_its_stride(kernel, stride):
    layer = ConvNorm(3, 4, kernel, stride)
    assert layer(torch.zeros(2, 3, 8, 12)).shape == (2, 4, 8 // stride, 12 // stride)
    assert [name for name, _ in layer.named_children()] == ["conv", "norm", "act"]
    assert layer.conv.bias is None


def test_conv_norm_can_go_without_activation():
    torch.manual_seed(0)
    layer = ConvNorm(3, 4, 3, act=None)
    assert (layer(torch.randn(2, 3, 8, 8)) < 0).any()


def test_classifier_is_linear_in_the_means_of_the_maps():
    torch.manual_seed(0)
    layer, x = Classifier(6, 3), torch.randn(2, 6, 5, 4)
    expected = x.mean((2, 3)) @ layer.fc.weight.T + layer.fc.bias
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            torch.zeros(3, 32, 32),
            "TestNet takes a batch of images (N, 3, H, W); got a tensor of 3 dimensions, "
            "(3, 32, 32)",
        ),
        (
            torch.zeros(1, 3, 32, 32, dtype=torch.uint8),
            "TestNet takes floating-point images; got torch.uint8: convert and normalise them "
            "first",
        ),
        (
            torch.zeros(1, 1, 32, 32),
            "TestNet takes 3 channels; got 1 in (1, 1, 32, 32): build it with in_channels=1",
        ),
        (
            torch.zeros(1, 3, 15, 32),
            "TestNet takes images of at least 16x20, the least for stages.conv5; got 15x32",
        ),
        (
            torch.zeros(1, 3, 16, 19),
            "TestNet takes images of at least 16x20, the least for stages.conv5; got 16x19",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused(images, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_images(images, 3, (16, 20), "stages.conv5", "TestNet")


def test_images_that_fit_are_taken():
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        check_images(torch.zeros(0, 3, 16, 20, dtype=dtype), 3, (16, 20), "stages.conv5")


def test_maps_of_another_size_are_refused():
    check_map(torch.zeros(1, 8, 6, 6), (6, 6), "head.fc6", "227 to 258 pixels a side")
    message = (
        "head.fc6 takes maps of 6x6, that is images of 227 to 258 pixels a side; got maps of 6x7"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_map(torch.zeros(1, 8, 6, 7), (6, 6), "head.fc6", "227 to 258 pixels a side")


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int, int]:
    kernel = draw(st.integers(1, 11))
    return kernel, draw(st.integers(1, 4)), draw(st.integers(0, kernel // 2))


@settings(deadline=None)
@given(st.lists(windows(), max_size=5), st.integers(1, 64))
def test_map_side_is_that_of_torch(layers, image):
    side = map_side(image, layers)
    net = nn.Sequential(
        *(nn.Conv2d(1, 1, kernel, stride, padding) for kernel, stride, padding in layers)
    ).to("meta")
    try:
        maps = net(torch.empty(1, 1, image, image, device="meta"))
    except RuntimeError:  # torch: the kernel is larger than what it should look at
        assert min(map_side(image, layers[: i + 1]) for i in range(len(layers))) < 1
    else:
        assert maps.shape[2] == side


@settings(deadline=None)
@given(st.lists(windows(), max_size=5), st.integers(1, 20))
def test_image_sides_are_the_ends_of_what_gives_a_side(layers, side):
    least, largest = image_sides(side, layers)
    assume(largest < 100_000)
    assert least <= largest
    assert {map_side(image, layers) for image in {least, (least + largest) // 2, largest}} == {side}
    assert map_side(least - 1, layers) < side < map_side(largest + 1, layers)


def test_a_chain_leaves_out_what_is_none():
    chain = make_chain(first=nn.ReLU(), norm=None, last=nn.Flatten())
    assert [name for name, _ in chain.named_children()] == ["first", "last"]


@pytest.mark.parametrize(
    ("draw", "std", "largest"),
    [
        # a normal distribution cut at two standard deviations keeps 0.7737 of its variance
        (lambda layer: truncated_normal_(layer, 0.1), 0.1 * math.sqrt(0.7737), 0.2),
        (caffe_xavier_, math.sqrt(1 / 1152), math.sqrt(3 / 1152)),
        (he_fan_in_, math.sqrt(2 / 1152), math.inf),
        (he_normal_, math.sqrt(2 / 2304), math.inf),
    ],
    ids=["truncated", "caffe", "he_fan_in", "he_fan_out"],
)
def test_draws_have_the_spread_that_their_papers_say(draw, std, largest):
    torch.manual_seed(0)
    layer = nn.Conv2d(128, 256, 3)
    draw(layer)
    error = 4 / math.sqrt(2 * layer.weight.numel())  # four standard errors
    assert layer.weight.std().item() == pytest.approx(std, rel=error)
    assert abs(layer.weight.mean().item()) < 4 * std / math.sqrt(layer.weight.numel())
    assert layer.weight.abs().max().item() <= largest * (1 + 1e-6)


def test_biases_start_from_one_value_where_there_are_any():
    layer, without = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 1, bias=False)
    fill_bias_(layer, 0.2)
    fill_bias_(without, 0.2)
    assert (layer.bias == 0.2).all()


def test_biases_are_drawn_as_torch_draws_them():
    layer, without = nn.Linear(64, 4096), nn.Conv2d(2, 3, 1, bias=False)
    for each in (layer, without):
        torch_bias_(each)
    assert layer.bias.abs().max().item() == pytest.approx(1 / 8, rel=0.01)


class Small(nn.Module):
    drawn = 0

    @drawn_once
    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = ConvNorm(3, width, 3)
        self.head = Classifier(width, 5)

    def reset_parameters(self) -> None:
        self.drawn += 1
        draw_layers(self, he_normal_)


def test_a_network_is_drawn_once_by_its_own_rule():
    torch.manual_seed(0)
    net = Small(width=4)
    assert net.drawn == 1
    torch.manual_seed(0)
    expected = nn.Conv2d(3, 4, 3, bias=False)  # takes random numbers too
    torch.manual_seed(0)
    he_normal_(expected)
    assert torch.equal(net.stem.conv.weight, expected.weight)
    assert (net.stem.norm.weight == 1).all()
    assert not net.head.fc.bias.any()
    assert Small.__init__.__name__ == "__init__"
