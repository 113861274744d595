"""Saliency, SmoothGrad and integrated gradients against their definitions."""

import pytest
import torch
from explained_nets import images, small_network
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from convatlas.errors import InputError
from convatlas.visualize.integrated_gradients import integrated_gradients
from convatlas.visualize.saliency import saliency
from convatlas.visualize.scores import input_gradients, scores_of
from convatlas.visualize.smooth_grad import smooth_grad


def linear(side: int = 12) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * side * side, 4)).double()


def test_on_a_linear_network_saliency_is_the_weights() -> None:
    network = linear()
    expected = network[1].weight[2].reshape(3, 12, 12).abs().amax(0)
    found = saliency(network, images(2), 2)
    torch.testing.assert_close(found, expected.expand(2, 12, 12))


def test_saliency_is_the_slope_of_the_score() -> None:
    network, x = small_network(), images(1)
    step = torch.zeros_like(x)
    step[0, 1, 5, 6] = 1e-6
    with torch.no_grad():
        slope = (network(x + step) - network(x - step))[0, 3] / 2e-6
    torch.testing.assert_close(input_gradients(network, x, 3)[0, 1, 5, 6], slope)


def test_without_noise_smooth_grad_is_saliency() -> None:
    network, x = small_network(), images(2)
    found = smooth_grad(network, x, samples=3, noise=0.0)
    torch.testing.assert_close(found, saliency(network, x))


def test_smooth_grad_is_the_mean_over_noisy_copies_of_the_image() -> None:
    network, x = small_network(), images(1)
    generator = torch.Generator().manual_seed(7)
    sigma = 0.2 * (x.max() - x.min())
    each = [
        saliency(network, x + sigma * torch.randn(x.shape, generator=generator, dtype=x.dtype), 1)
        for _ in range(4)
    ]
    found = smooth_grad(network, x, 1, samples=4, noise=0.2, seed=7)
    torch.testing.assert_close(found, torch.stack(each).mean(0))
    assert not torch.equal(found, smooth_grad(network, x, 1, samples=4, noise=0.2, seed=8))


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 1000), st.booleans())
def test_integrated_gradients_share_out_the_change_of_the_score(seed: int, tanh: bool) -> None:
    """Completeness: proposition 1 of Sundararajan et al. 2017, to 1e-3 of the change."""
    network, x = small_network(seed), images(2, seed=seed + 1)
    if tanh:  # smooth: the midpoint rule is nearly exact
        network[1] = network[4] = nn.Tanh()
    shares = integrated_gradients(network, x, 1, steps=512, batch_size=256).sum(dim=(1, 2, 3))
    change = scores_of(network, x, 1)[0] - scores_of(network, torch.zeros_like(x), 1)[0]
    torch.testing.assert_close(shares, change, rtol=1e-3, atol=2e-3)


def test_integrated_gradients_of_a_linear_network_are_exact_in_one_step() -> None:
    network, x = linear(), images(1)
    found = integrated_gradients(network, x, 1, steps=1, baseline=0.5)
    expected = network[1].weight[1].reshape(1, 3, 12, 12) * (x - 0.5)
    torch.testing.assert_close(found, expected)


def test_the_steps_may_be_taken_in_any_number_of_batches() -> None:
    network, x = small_network(), images(2)
    each = [integrated_gradients(network, x, steps=5, batch_size=size) for size in (1, 4, 32)]
    torch.testing.assert_close(each[0], each[1])
    torch.testing.assert_close(each[0], each[2])


def test_a_pixel_that_is_as_in_the_baseline_gets_nothing() -> None:
    x = images(1)
    base = torch.zeros_like(x)
    base[..., 3:6, 3:6] = x[..., 3:6, 3:6]
    found = integrated_gradients(small_network(), x, 1, steps=4, baseline=base)
    assert found[..., 3:6, 3:6].eq(0).all()


def test_probabilities_are_shared_out_too() -> None:
    network, x = small_network(), images(1)
    shares = integrated_gradients(network, x, 1, steps=128, probability=True).sum()
    with torch.no_grad():
        change = network(x).softmax(1)[0, 1] - network(torch.zeros_like(x)).softmax(1)[0, 1]
    torch.testing.assert_close(shares, change, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (smooth_grad, {"samples": 0}, "at least 1 sample"),
        (smooth_grad, {"noise": -0.1}, "noise of at least 0"),
        (integrated_gradients, {"steps": 0}, "at least 1 step, not 0"),
        (integrated_gradients, {"baseline": torch.zeros(5)}, r"baseline of \(5,\) does not fit"),
    ],
)
def test_options_out_of_range_are_refused(method, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        method(small_network(), images(), 1, **options)
