"""Images made from a network alone: maximization, inversion, and what keeps them smooth."""

import math

import explained_nets
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.visualize.invert import invert
from convatlas.visualize.maximize import Ascent, maximize
from convatlas.visualize.smoothness import blurred, total_variation

PLAIN = Ascent(steps=20, decay=0, blur=0, jitter=0)


def linear(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 6, 4)).double()


def test_total_variation_against_a_loop_and_of_a_constant() -> None:
    image = explained_nets.images(2, side=5)
    wanted = torch.zeros(2).double()
    for n in range(2):
        for c in range(3):
            for i in range(5):
                for j in range(5):
                    here = image[n, c, i, j]
                    down = image[n, c, i + 1, j] - here if i < 4 else 0
                    across = image[n, c, i, j + 1] - here if j < 4 else 0
                    wanted[n] += (across**2 + down**2) ** 0.75
    torch.testing.assert_close(total_variation(image, beta=1.5), wanted, rtol=1e-6, atol=0)
    assert total_variation(torch.ones(1, 3, 4, 4)).item() == 0


@settings(max_examples=20, deadline=None)
@given(st.floats(0.8, 2.0))
def test_a_blur_keeps_the_sum_and_has_its_width(sigma: float) -> None:
    point = torch.zeros(1, 1, 31, 31).double()
    point[0, 0, 15, 15] = 1
    found = blurred(point, sigma)[0, 0]
    at = torch.arange(31).double() - 15
    assert float(found.sum()) == pytest.approx(1)
    assert float((found.sum(0) * at**2).sum()) == pytest.approx(sigma**2, rel=0.1)
    assert torch.equal(blurred(point, 0), point)


def test_of_a_linear_network_it_is_the_weights() -> None:
    model = linear()
    found = maximize(model, (3, 6, 6), [2, 0], ascent=Ascent(200, decay=0.1, blur=0, jitter=0))
    for image, unit in zip(found.images, (2, 0), strict=True):
        cosine = torch.cosine_similarity(image.flatten(), model[1].weight[unit].detach(), dim=0)
        assert float(cosine) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    "ascent",
    [PLAIN, Ascent(20), Ascent(20, tv=0.2), Ascent(21, octaves=3), Ascent(20, jitter=3, blur=1)],
)
def test_scores_rise_and_the_model_is_left_as_it_was(ascent: Ascent) -> None:
    model = explained_nets.small_network().train()
    before = explained_nets.state_of(model)
    found = maximize(model, (3, 12, 12), [0, 1, 3], ascent=ascent)
    explained_nets.assert_same(before, explained_nets.state_of(model))
    assert found.images.shape == (3, 3, 12, 12)
    assert (found.scores > found.first_scores).all()
    again = maximize(model, (3, 12, 12), [0, 1, 3], ascent=ascent)
    assert torch.equal(found.images, again.images)


def test_maps_rise_too_and_each_image_is_its_own() -> None:
    model = explained_nets.small_network()
    found = maximize(model, (3, 12, 12), [4, 1], layer="3", ascent=PLAIN)
    means = model[:4](found.images).mean(dim=(2, 3)).detach()
    torch.testing.assert_close(found.scores, torch.stack([means[0, 4], means[1, 1]]))
    assert (found.scores > found.first_scores).all()


def test_regularizers_make_the_image_smoother() -> None:
    model = explained_nets.small_network()

    def roughness(ascent: Ascent) -> float:
        image = maximize(model, (3, 12, 12), [1], ascent=ascent).images
        return float(total_variation(image) / image.square().sum())

    rough = roughness(PLAIN)
    assert roughness(Ascent(20, decay=0, blur=1, jitter=0)) < 0.7 * rough
    assert roughness(Ascent(20, decay=0, blur=0, jitter=0, tv=0.5)) < 0.9 * rough


@pytest.mark.parametrize("way", ["module in place", "functional in place", "method"])
def test_any_way_to_write_an_activation_works(way: str) -> None:
    model = explained_nets.Written(way)
    wanted = maximize(explained_nets.Written("module"), (3, 12, 12), [1], ascent=PLAIN).images
    torch.testing.assert_close(maximize(model, (3, 12, 12), [1], ascent=PLAIN).images, wanted)


def test_what_cant_be_maximized_says_why() -> None:
    model = explained_nets.small_network()
    for units, layer, message in (
        ([], None, "nothing to maximize"),
        ([4], None, "no class 4"),
        ([5], "3", "has no map 5; there are 5"),
        ([0], "7", "not maps"),
        ([0], "nine", "no layer named 'nine'"),
    ):
        with pytest.raises((InputError, KeyError), match=message):
            maximize(model, (3, 12, 12), units, layer=layer)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("steps", 0),
        ("rate", 0.0),
        ("rate", math.nan),
        ("decay", 1.0),
        ("blur", -1.0),
        ("blur_every", 0),
        ("jitter", -1),
        ("tv", math.inf),
        ("octaves", 0),
    ],
)
def test_a_number_out_of_range_is_named(option: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{option} must be"):
        Ascent(**{option: value})


def test_16_bit_networks_work() -> None:
    model = explained_nets.small_network().bfloat16()
    found = maximize(model, (3, 12, 12), [1], ascent=Ascent(5))
    assert found.images.dtype == found.scores.dtype == torch.float32
    assert invert(model, explained_nets.images(1).float(), "0", steps=2).images.isfinite().all()


def with_identity() -> nn.Sequential:
    return nn.Sequential(nn.Identity(), *explained_nets.small_network())


def test_the_inversion_of_the_identity_is_the_image() -> None:
    images = explained_nets.images(2)
    found = invert(with_identity(), images, "0", tv=0, norm=0)
    torch.testing.assert_close(found.images, images, rtol=1e-6, atol=1e-6)
    assert float(found.errors.max()) < 1e-12


def test_the_first_layer_keeps_the_image_and_deeper_ones_less() -> None:
    model = explained_nets.small_network().train()
    images: Tensor = explained_nets.images(2) / 2
    before = explained_nets.state_of(model)
    first, last = (invert(model, images, layer, tv=1e-5) for layer in ("0", "5"))
    explained_nets.assert_same(before, explained_nets.state_of(model))
    assert float(first.errors.max()) < 0.05
    far = [float((found.images - images).square().mean()) for found in (first, last)]
    assert far[0] < far[1]


def test_penalties_smooth_and_shrink() -> None:
    model, images = with_identity(), explained_nets.images(1) * 3
    free = invert(model, images, "0", tv=0, norm=0)
    smooth = invert(model, images, "0", tv=0.05, norm=0)
    small = invert(model, images, "0", tv=0, norm=10.0)
    assert total_variation(smooth.images) < 0.8 * total_variation(free.images)
    assert small.images.abs().max() < 0.8 * free.images.abs().max()


def test_what_cant_be_inverted_says_why() -> None:
    model, images = explained_nets.small_network(), explained_nets.images()
    with pytest.raises(InputError, match="at least 1 step"):
        invert(model, images, "0", steps=0)
    with pytest.raises(InputError, match="not maps"):
        invert(model, images, "7")
    with torch.no_grad():
        model[0].bias.fill_(-1e3)
    with pytest.raises(InputError, match="zero or not finite"):
        invert(model, images, "1")
    assert not any(m._forward_hooks for m in model.modules())
