"""The cascade of random weights, and the two similarities it uses."""

import pytest
import torch
from explained_nets import assert_same, images, small_network, state_of
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.visualize.randomization import (
    is_sensitive,
    magnitudes,
    randomize_weights,
    spearman,
    ssim,
    weighted_layers,
)
from convatlas.visualize.saliency import saliency


def edges(_model: nn.Module, x: Tensor, _labels: object) -> Tensor:
    """Show the image and not the network."""
    return x.diff(dim=2)[..., 1:].abs().sum(1)


def test_a_map_of_the_image_alone_is_found_out() -> None:
    network, x = small_network(), images(2)
    before = state_of(network)
    found = randomize_weights(network, edges, x)
    assert [one.layer for one in found] == ["7", "3", "0"]
    assert [one.layers for one in found] == [1, 2, 3]
    assert all(one.spearman == pytest.approx(1) and one.ssim == pytest.approx(1) for one in found)
    assert not is_sensitive(found)
    assert_same(before, state_of(network))


def test_saliency_depends_on_the_weights() -> None:
    found = randomize_weights(small_network(), saliency, images(4))
    assert found[-1].spearman < 0.5
    assert found[-1].ssim < 0.9
    assert is_sensitive(found)
    assert found == randomize_weights(small_network(), saliency, images(4))
    assert found != randomize_weights(small_network(), saliency, images(4), seed=1)


def test_the_last_comparison_is_of_all_layers() -> None:
    found = randomize_weights(small_network(), saliency, images(1), every=2)
    assert [(one.layers, one.of) for one in found] == [(2, 3), (3, 3)]
    with pytest.raises(InputError, match="at least 1 further layer, not 0"):
        randomize_weights(small_network(), saliency, images(1), every=0)
    with pytest.raises(InputError, match="runs no layer with weights"):
        weighted_layers(nn.Flatten(), images(1))


def test_new_weights_keep_their_scale() -> None:
    kept: list[nn.Module] = []

    def keep(model: nn.Module, x: Tensor, _labels: object) -> Tensor:
        kept.append(model)
        return x[:, 0]

    network = small_network()
    randomize_weights(network, keep, images(1), every=3)
    for old, new in zip(kept[0].parameters(), kept[1].parameters(), strict=True):
        assert not torch.equal(old, new)
        if old.dim() == 1:
            assert torch.equal(old.sort().values, new.sort().values)
        else:
            torch.testing.assert_close(old.std(), new.std(), rtol=0.3, atol=0)


def test_rank_correlation_of_known_orders() -> None:
    one = torch.tensor([[[1.0, 2, 3, 4]]])
    assert spearman(one, one**3).item() == pytest.approx(1)
    assert spearman(one, -one).item() == pytest.approx(-1)
    # equal values share a rank: 1, 2.5, 2.5, 4 against 1, 2, 3, 4
    assert spearman(one, torch.tensor([[[1.0, 5, 5, 9]]])).item() == pytest.approx(0.9**0.5)
    assert spearman(one, torch.ones(1, 1, 4)).item() == 0


def test_structural_similarity_equals_a_literal_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, 1, 9, 8, generator=generator, dtype=torch.float64)
    x, y = one[0] / one.max(), other[0] / other.max()
    values = []
    for i in range(3):
        for j in range(2):
            a, b = x[i : i + 7, j : j + 7].flatten(), y[i : i + 7, j : j + 7].flatten()
            both = torch.cov(torch.stack([a, b]))
            luminance = (2 * a.mean() * b.mean() + 1e-4) / (a.mean() ** 2 + b.mean() ** 2 + 1e-4)
            structure = (2 * both[0, 1] + 9e-4) / (both[0, 0] + both[1, 1] + 9e-4)
            values.append(luminance * structure)
    torch.testing.assert_close(ssim(one, other)[0], torch.stack(values).mean())
    torch.testing.assert_close(ssim(one, one), torch.ones(1).double())
    with pytest.raises(InputError, match="smaller than the 7 x 7"):
        ssim(one[:, :5], other[:, :5])


def test_channels_are_added_up() -> None:
    signed = torch.tensor([[[[1.0]], [[-2.0]]]])
    assert magnitudes(signed).tolist() == [[[3.0]]]
    assert magnitudes(signed[:, 1]).tolist() == [[[2.0]]]
