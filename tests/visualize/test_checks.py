"""Curves and games whose result is known."""

from typing import Any

import pytest
import torch
from explained_nets import assert_same, images, small_network, state_of
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.visualize.checks import (
    area,
    completeness_gap,
    deletion_curve,
    insertion_curve,
    pointing_hits,
    share_inside,
)
from convatlas.visualize.integrated_gradients import integrated_gradients


class Centre(nn.Module):
    """Its first logit is the sum of the pixels at the centre, its second is 0."""

    def forward(self, x: Tensor) -> Tensor:
        inside = x[:, :, 4:8, 4:8].sum(dim=(1, 2, 3))
        return torch.stack([inside, torch.zeros_like(inside)], dim=1) / 4


def heats() -> tuple[Tensor, Tensor]:
    """Give a map that knows where the centre is, and one that thinks the opposite."""
    right = torch.zeros(1, 12, 12)
    right[:, 4:8, 4:8] = 1
    return right, 1 - right


def test_deletion_falls_as_the_pixels_that_count_vanish() -> None:
    network, x = Centre(), torch.ones(1, 1, 12, 12)
    right, wrong = heats()
    curve = deletion_curve(network, x, right, 0, steps=9)  # 16 of 144 pixels each
    assert curve.shape == (1, 10)
    torch.testing.assert_close(curve[0, 0], torch.tensor(4.0).sigmoid())
    torch.testing.assert_close(curve[0, 1:], torch.full((9,), 0.5))
    worse = deletion_curve(network, x, wrong, 0, steps=9)
    torch.testing.assert_close(worse[0, :9], torch.tensor(4.0).sigmoid().expand(9))
    assert area(curve) < area(worse)


def test_insertion_rises_as_the_pixels_that_count_come_back() -> None:
    network = Centre()
    x = torch.zeros(1, 1, 12, 12)
    x[:, :, 4:8, 4:8] = 1
    right, wrong = heats()
    curve = insertion_curve(network, x, right, steps=9, sigma=3.0)
    torch.testing.assert_close(curve[0, -1], torch.tensor(4.0).sigmoid())
    torch.testing.assert_close(curve[0, 1], curve[0, -1])
    assert curve[0, 0] < curve[0, 1]
    assert area(curve) > area(insertion_curve(network, x, wrong, steps=9, sigma=3.0))


def test_deletion_into_a_blurred_image_is_insertion_run_backwards() -> None:
    network, x = small_network(), images(2)
    heat = torch.rand(2, 12, 12, generator=torch.Generator().manual_seed(0))
    label = [1, 2]
    falls = deletion_curve(network, x, heat, label, steps=6, sigma=2.0)
    rises = insertion_curve(network, x, -heat, label, steps=6, sigma=2.0)
    torch.testing.assert_close(falls, rises.flip(1))


def test_a_curve_explains_the_top_class_of_the_whole_image() -> None:
    network, x = small_network().train(), images(3)
    heat = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))
    before = state_of(network)
    with torch.no_grad():
        top = network(x).argmax(1)
    for curve in (deletion_curve, insertion_curve):
        torch.testing.assert_close(
            curve(network, x, heat, steps=4), curve(network, x, heat, top, steps=4)
        )
    assert_same(before, state_of(network))


def test_the_area_is_a_mean_over_the_share_of_pixels() -> None:
    curve = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert area(curve).tolist() == [0.25, 1.0]


def test_pointing_and_shares_of_heat() -> None:
    heat = torch.zeros(3, 8, 10)
    heat[0, 2, 3], heat[0, 7, 9] = 3.0, 1.0
    heat[1, 5, 5], heat[1, 2, 2] = 1.0, -7.0
    boxes = torch.tensor([[1, 2, 4, 6], [0, 0, 5, 5], [0, 0, 8, 10]])
    assert pointing_hits(heat, boxes).tolist() == [True, False, True]
    assert pointing_hits(heat, boxes, tolerance=1).tolist() == [True, True, True]
    assert share_inside(heat, boxes).tolist() == [0.75, 0.0, 0.0]


@pytest.mark.parametrize("probability", [False, True])
def test_integrated_gradients_are_complete_within_a_thousandth(probability: bool) -> None:
    network, x = small_network(3), images(2)
    options: dict[str, Any] = {"baseline": 0.1, "probability": probability}

    def gap(steps: int) -> Tensor:
        shares = integrated_gradients(network, x, 2, steps=steps, batch_size=256, **options)
        return completeness_gap(network, x, shares, 2, **options)

    coarse, fine = gap(1), gap(2048)
    assert (fine < 1e-3).all()
    assert (fine < coarse).all()
    bad = completeness_gap(network, x, torch.zeros_like(x), 2, **options)
    torch.testing.assert_close(bad, torch.ones_like(bad))


@pytest.mark.parametrize(
    ("heat", "steps", "message"),
    [
        (torch.zeros(1, 12, 12), 4, r"heat of \(1, 12, 12\) does not fit images of \(2, 3"),
        (torch.zeros(2, 12, 12), 0, "at least 1 step, not 0"),
    ],
)
def test_what_makes_no_curve_is_refused(heat: Tensor, steps: int, message: str) -> None:
    for curve in (deletion_curve, insertion_curve):
        with pytest.raises(InputError, match=message):
            curve(small_network(), images(2), heat, 1, steps=steps)
