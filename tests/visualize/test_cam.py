"""Class activation maps and their kin against identities and literal loops."""

import pytest
import torch
from explained_nets import images
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import convatlas as ca
from convatlas.errors import InputError
from convatlas.visualize.cam import cam, class_maps
from convatlas.visualize.grad_cam import grad_cam, weighted_sum
from convatlas.visualize.grad_cam_plus_plus import grad_cam_plus_plus, map_weights
from convatlas.visualize.guided_backprop import guided_backprop
from convatlas.visualize.guided_grad_cam import guided_grad_cam
from convatlas.visualize.score_cam import score_cam
from convatlas.visualize.scores import maps_and_gradients


def gap_network(seed: int = 0, bias: bool = True) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(5, 4, bias=bias),
    ).double()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.booleans())
def test_the_mean_of_a_class_map_is_the_class_score(seed: int, bias: bool) -> None:
    network, x = gap_network(seed, bias).eval(), images(2, seed=seed)
    found = class_maps(network, x, [1, 3], layer="1").mean(dim=(1, 2))
    logits = network(x).detach()
    added = network[5].bias.detach()[[1, 3]] if bias else 0
    torch.testing.assert_close(found + added, logits[[0, 1], [1, 3]])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 3))
def test_grad_cam_is_cam_divided_by_the_places(seed: int, label: int) -> None:
    network, x = gap_network(seed), images(2, seed=seed)
    maps = class_maps(network, x, label, layer="1")
    found = weighted_sum(*maps_and_gradients(network, x, label, "1"))
    torch.testing.assert_close(found * maps[0].numel(), maps)
    torch.testing.assert_close(
        cam(network, x, label, layer="1"), grad_cam(network, x, label, layer="1")
    )


@pytest.mark.parametrize("name", ["resnet8_cifar", "nin_cifar10", "squeezenet1_1"])
def test_networks_of_the_catalog_find_their_maps(name: str) -> None:
    torch.manual_seed(0)
    network = ca.create(name).eval()
    x = torch.randn(2, *ca.find(name)[1].input_shape)
    mean = class_maps(network, x, 1).mean(dim=(1, 2))
    bias = dict(network.named_parameters()).get("head.fc.bias", torch.zeros(2))[1].detach()
    torch.testing.assert_close(mean + bias, network(x)[:, 1].detach(), atol=1e-4, rtol=1e-4)


def test_a_1x1_convolution_may_stand_for_the_linear_layer() -> None:
    network = gap_network()
    conv = nn.Conv2d(5, 4, 1).double()
    conv.weight.data = network[5].weight.data[:, :, None, None].clone()
    conv.bias.data = network[5].bias.data.clone()  # type: ignore[union-attr]
    same = nn.Sequential(*network[:3], conv, nn.Flatten())
    torch.testing.assert_close(
        cam(same, images(), 1, layer="1"), cam(network, images(), 1, layer="1")
    )


def test_a_network_without_class_maps_is_refused() -> None:
    with pytest.raises(InputError, match=r"no class activation maps at '0': .* takes any"):
        cam(gap_network(), images(), 1, layer="0")
    hidden = ca.create("cnn_gap")  # a hidden layer stands behind the pooling
    with pytest.raises(InputError, match="no class activation maps at"):
        cam(hidden, torch.randn(1, *ca.find("cnn_gap")[1].input_shape), 1)


def test_grad_cam_plus_plus_equals_a_literal_loop() -> None:
    torch.manual_seed(0)
    maps, gradients = torch.rand(1, 2, 3, 2).double(), torch.randn(1, 2, 3, 2).double()
    gradients[0, 1, 0, 0] = 0
    expected = torch.zeros(1, 2).double()
    for k in range(2):
        total = maps[0, k].sum()
        for i in range(3):
            for j in range(2):
                g = gradients[0, k, i, j]
                divisor = 2 * g**2 + total * g**3
                alpha = g**2 / divisor if divisor != 0 else torch.zeros(())
                expected[0, k] += alpha * g.clamp(min=0)
    torch.testing.assert_close(map_weights(maps, gradients), expected)


def test_its_weights_are_the_derivatives_of_the_exponential() -> None:
    """Equation 19 from the derivatives of Y = exp(S) themselves, S linear in the maps."""
    torch.manual_seed(1)
    maps, weight = torch.rand(3).double(), torch.randn(3).double()

    def y(value: torch.Tensor, at: int) -> torch.Tensor:
        moved = torch.cat([maps[:at], value[None], maps[at + 1 :]])
        return torch.exp(moved @ weight)

    for at in range(3):
        value = maps[at].clone().requires_grad_()
        first = torch.autograd.grad(y(value, at), value, create_graph=True)[0]
        second = torch.autograd.grad(first, value, create_graph=True)[0]
        third = torch.autograd.grad(second, value)[0]
        alpha = second / (2 * second + maps.sum() * third)
        found = map_weights(maps.view(1, 1, 3, 1), weight.view(1, 1, 3, 1) * _only(at))
        torch.testing.assert_close(found[0, 0], (alpha * weight[at].clamp(min=0)).detach())


def _only(at: int) -> torch.Tensor:
    chosen = torch.zeros(1, 1, 3, 1).double()
    chosen[0, 0, at, 0] = 1
    return chosen


def _score_cam_in_a_loop(network: nn.Module, image: torch.Tensor, maps: list[int]) -> torch.Tensor:
    """Algorithm 1 for class 1 of one image, (1, 3, 12, 12), with some of the layer's maps."""
    found, scores = network[:2](image)[0], {}
    for k in maps:
        mask = nn.functional.interpolate(found[k][None, None], (12, 12), mode="bilinear")
        if mask.max() > mask.min():
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            scores[k] = network(image * mask)[0, 1].exp()
    heat = sum(score / sum(scores.values()) * found[k] for k, score in scores.items())
    heat = nn.functional.interpolate(heat.clamp(min=0)[None, None], (12, 12), mode="bilinear")[0, 0]
    return heat / heat.max()


def test_score_cam_equals_a_literal_loop() -> None:
    network, x = gap_network().eval(), images(2)
    with torch.no_grad():
        network[0].bias[2] = -100.0  # a map that is zero everywhere counts nothing
        expected = [_score_cam_in_a_loop(network, image[None], list(range(5))) for image in x]
    for batch_size in (1, 3, 32):
        found = score_cam(network, x, 1, layer="1", batch_size=batch_size)
        torch.testing.assert_close(found, torch.stack(expected))
    with pytest.raises(InputError, match="at least 1 masked image, not 0"):
        score_cam(network, x, 1, layer="1", batch_size=0)


@pytest.mark.parametrize("strongest", [1, 2, 5, 9])
def test_score_cam_of_the_maps_that_vary_most(strongest: int) -> None:
    network, x = gap_network().eval(), images(2)
    with torch.no_grad():
        found = score_cam(network, x, 1, layer="1", strongest=strongest)
        for image, heat in zip(x, found, strict=True):
            spread = network[:2](image[None])[0].var(dim=(1, 2))
            best = spread.argsort(descending=True)[:strongest].tolist()
            torch.testing.assert_close(heat, _score_cam_in_a_loop(network, image[None], best))
    with pytest.raises(InputError, match="at least 1 map takes part, not 0"):
        score_cam(network, x, 1, layer="1", strongest=0)


def test_maps_that_say_nothing_give_a_map_of_zeros() -> None:
    network = gap_network()
    with torch.no_grad():
        network[0].bias.fill_(-100.0)
    for method in (cam, grad_cam_plus_plus, score_cam):
        assert method(network, images(), 1, layer="1").eq(0).all()


def test_guided_grad_cam_is_the_product() -> None:
    network, x = gap_network(), images(2)
    expected = grad_cam(network, x, 1, layer="1")[:, None] * guided_backprop(network, x, 1)
    torch.testing.assert_close(guided_grad_cam(network, x, 1, layer="1"), expected)
