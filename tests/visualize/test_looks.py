"""Filters, activation maps and effective receptive fields: values, faults, nothing left behind."""

import math

import explained_nets
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import convatlas as ca
from convatlas.errors import InputError
from convatlas.visualize.activations import activations, dead_maps, scaled_maps
from convatlas.visualize.erf import effective_field
from convatlas.visualize.filters import colour_share, filters, first_filters, roughness


def test_each_filter_fills_the_range_and_keeps_its_order() -> None:
    model = explained_nets.small_network()
    shown = filters(model)
    weights = model[0].weight.detach()
    assert shown.shape == weights.shape
    assert torch.equal(shown.amin(dim=(1, 2, 3)), torch.zeros(6).double())
    assert torch.equal(shown.amax(dim=(1, 2, 3)), torch.ones(6).double())
    assert torch.equal(shown.flatten(1).argsort(1), weights.flatten(1).argsort(1))


def test_together_grey_is_zero_and_contrast_is_kept() -> None:
    model = nn.Conv2d(1, 3, 3)
    with torch.no_grad():
        model.weight[0], model.weight[1], model.weight[2] = 0.0, 0.5, -1.0
    model = nn.Sequential(model)
    means = filters(model, scaling="together").mean(dim=(1, 2, 3))
    assert means.tolist() == pytest.approx([0.5, 0.75, 0.0])
    assert filters(model).eq(0.5).all()  # constant filters, by themselves, are grey


def test_what_is_no_picture_is_refused() -> None:
    model = explained_nets.small_network()
    with pytest.raises(InputError, match="layer '3' span 6 channels"):
        filters(model, "3")
    with pytest.raises(KeyError, match="no convolution named '4'"):
        filters(model, "4")
    with pytest.raises(KeyError, match="no scaling named 'all'"):
        filters(model, scaling="all")  # ty: ignore[invalid-argument-type]  # a user's mistake
    with pytest.raises(InputError, match="Linear has no convolution"):
        filters(nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] = math.nan
    with pytest.raises(InputError, match="not finite"):
        filters(model)


def test_filters_of_16_bits_and_of_the_catalog_have_their_names() -> None:
    model = ca.create("squeezenet1_1", num_classes=3).bfloat16()
    name, weights = first_filters(model)
    assert model.get_submodule(name).weight.shape == weights.shape == (64, 3, 3, 3)
    assert filters(model).dtype == torch.float32


def test_noise_is_rougher_than_edges() -> None:
    torch.manual_seed(0)
    noise = torch.randn(200, 3, 7, 7)
    edges = torch.linspace(-1, 1, 7).expand(5, 3, 7, 7)
    assert float(roughness(noise).mean()) == pytest.approx(1, abs=0.05)
    assert float(roughness(edges).max()) < 0.4


def test_the_share_of_colour() -> None:
    grey = torch.randn(1, 1, 5, 5).expand(1, 3, 5, 5)
    red_green = torch.tensor([1.0, -1.0, 0.0])[:, None, None].expand(1, 3, 5, 5)
    red = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(1, 3, 5, 5)
    share = colour_share(torch.cat([grey, red_green, red, torch.zeros(1, 3, 5, 5)]))
    torch.testing.assert_close(share, torch.tensor([0.0, 1.0, 2 / 3, 0.0]))
    with pytest.raises(InputError, match="not \\(2, 1, 5, 5\\)"):
        colour_share(torch.zeros(2, 1, 5, 5))


def test_activations_are_what_the_layers_give() -> None:
    model, images = explained_nets.small_network(), explained_nets.images(3)
    model.train()
    before = explained_nets.state_of(model)
    found = activations(model, images, "4")
    explained_nets.assert_same(before, explained_nets.state_of(model))
    assert torch.equal(found, model[:5](images).detach())
    scaled = scaled_maps(found)
    assert float(scaled.amin()) == 0
    assert set(scaled.amax(dim=(2, 3)).flatten().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("way", explained_nets.WAYS)
def test_what_follows_in_place_does_not_change_the_maps(way: str) -> None:
    model, images = explained_nets.Written(way).eval(), explained_nets.images()
    wanted = model.norm(model.conv1(images)).detach()
    assert torch.equal(activations(model, images, "norm"), wanted)


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 5)))
def test_dead_maps_are_found_by_their_numbers(dead: set[int]) -> None:
    model = explained_nets.small_network()
    with torch.no_grad():
        for k in dead:
            model[0].bias[k] = -1e3
    parts = explained_nets.images(6).split(4)
    assert set(dead_maps(model, parts, "1")) == dead


def test_a_map_that_one_image_wakes_is_not_dead() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Flatten())
    with torch.no_grad():
        model[0].weight[:], model[0].bias[:] = 1, 0
    dark, light = torch.full((1, 1, 2, 2), -1.0), torch.full((1, 1, 2, 2), 3.0)
    assert dead_maps(model, [dark, dark], "1") == (0,)
    assert dead_maps(model, [dark, light], "1") == ()
    with pytest.raises(InputError, match="no images"):
        dead_maps(model, [], "1")


@pytest.mark.parametrize(
    ("layer", "message"), [("6", "not maps"), ("nine", "no layer named 'nine'")]
)
def test_a_layer_without_maps_is_refused(layer: str, message: str) -> None:
    model = explained_nets.small_network()
    before = explained_nets.state_of(model)
    with pytest.raises((InputError, KeyError), match=message):
        activations(model, explained_nets.images(), layer)
    with pytest.raises((InputError, KeyError), match=message):
        effective_field(model, explained_nets.images(), layer)
    explained_nets.assert_same(before, explained_nets.state_of(model))


def stack(depth: int, weight: float | None = 1.0) -> nn.Sequential:
    layers = [nn.Conv2d(1, 1, 3, padding=1, bias=False).double() for _ in range(depth)]
    for layer in layers:
        if weight is not None:
            layer.weight.data.fill_(weight)
    return nn.Sequential(*layers)


@pytest.mark.parametrize("depth", [1, 5, 12])
def test_uniform_filters_give_a_gaussian_of_known_width(depth: int) -> None:
    """n uniform 3x3 filters: each adds 2/3 to the variance (Luo et al. 2016, section 2.1)."""
    found = effective_field(stack(depth), torch.zeros(1, 1, 41, 41).double(), str(depth - 1))
    assert found.spread == pytest.approx((math.sqrt(2 * depth / 3),) * 2, rel=1e-9)
    assert found.theoretical_size == 2 * depth + 1
    assert float(found.effective.sum()) == pytest.approx(1)


def test_the_effective_field_grows_with_the_root_of_the_depth() -> None:
    sizes = [
        effective_field(stack(n), torch.zeros(1, 1, 81, 81).double(), str(n - 1)) for n in (8, 32)
    ]
    assert sizes[1].effective_size / sizes[0].effective_size == pytest.approx(2, rel=0.15)
    assert sizes[1].theoretical_size / sizes[0].theoretical_size > 3.8


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 2), st.booleans()), min_size=1, max_size=3
    ),
    st.integers(0, 99),
)
def test_the_gradient_lives_in_the_theoretical_field(shapes: list, seed: int) -> None:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for kernel, stride, pools in shapes:
        stride = min(kernel, stride)  # a larger one leaves pixels out that nobody sees
        layers.append(nn.Conv2d(1, 1, kernel, stride, padding=kernel // 2))
        nn.init.uniform_(layers[-1].weight, 0.5, 1.5)
        if pools:
            layers.append(nn.AvgPool2d(2))
    model = nn.Sequential(*layers).double()
    images: Tensor = torch.rand(2, 1, 48, 48).double()
    assume(min(model(images).shape[2:]) > 1)
    found = effective_field(model, images, str(len(layers) - 1))
    top, left, bottom, right = found.theoretical
    inside = torch.zeros(48, 48, dtype=torch.bool)
    inside[max(0, top) : bottom, max(0, left) : right] = True
    seen = found.effective > 0
    assert not (seen & ~inside).any()
    edge = math.prod(min(k, s) * (2 if pools else 1) for k, s, pools in shapes)
    if min(top, left) >= edge and max(bottom, right) <= 48 - edge:  # where no pooling leaves out
        assert torch.equal(seen, inside)


def test_a_middle_that_sees_nothing_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()).double()
    with torch.no_grad():
        model[0].bias[:] = -1e3
    with pytest.raises(InputError, match="depends on no pixel"):
        effective_field(model, torch.zeros(1, 1, 9, 9).double(), "1")
