"""Occlusion against networks whose answer is known."""

import pytest
import torch
from explained_nets import images, small_network
from torch import nn

from convatlas.errors import InputError
from convatlas.visualize.occlusion import occlude, occlusion


def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 4)).double()


def test_on_a_linear_network_a_drop_is_what_the_hidden_pixels_gave() -> None:
    network, x, fill = linear(), images(2), 0.25
    found = occlusion(network, x, 1, size=4, stride=4, fill=fill)
    given = (network[1].weight[1].reshape(3, 12, 12) * (x - fill)).sum(1)
    squares = given.reshape(2, 3, 4, 3, 4).sum(dim=(2, 4))
    expected = squares.repeat_interleave(4, 1).repeat_interleave(4, 2)
    torch.testing.assert_close(found, expected)


def test_overlapping_squares_are_averaged_and_the_border_is_reached() -> None:
    network, x = small_network(side=12), images(1)
    found = occlude(network, x, 2, size=5, stride=3)
    assert found.tops.tolist() == [0, 3, 6, 7]
    expected, count = torch.zeros(12, 12).double(), torch.zeros(12, 12)
    for i, top in enumerate(found.tops.tolist()):
        for j, left in enumerate(found.lefts.tolist()):
            hidden = x.clone()
            hidden[..., top : top + 5, left : left + 5] = 0
            with torch.no_grad():
                drop = network(x)[0, 2] - network(hidden)[0, 2]
                torch.testing.assert_close(found.drops[0, i, j], drop)
                logits = network(hidden)[0]
            torch.testing.assert_close(found.probabilities[0, i, j], logits.softmax(0)[2])
            assert found.classes[0, i, j] == logits.argmax()
            expected[top : top + 5, left : left + 5] += drop
            count[top : top + 5, left : left + 5] += 1
    heat = occlusion(network, x, 2, size=5, stride=3)
    torch.testing.assert_close(heat[0], expected / count)


def test_the_square_is_a_quarter_of_the_shorter_side_by_default() -> None:
    found = occlude(small_network(), images(1))
    assert (found.size, found.tops.tolist()) == (3, list(range(10)))


def test_pixels_that_the_network_does_not_see_are_zero() -> None:
    class Corner(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :2, 0, 0]

    x = images(1).abs() + 1
    heat = occlusion(Corner(), x, 0, size=2, stride=2)
    assert heat[0, :2, :2].gt(0).all()
    assert heat[0, 2:].eq(0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 13}, r"a square of 13 pixels does not fit an image of \(12, 12\)"),
        ({"size": 0}, "from 1 to 12"),
        ({"size": 4, "stride": 5}, "a stride of 5 leaves gaps"),
        ({"size": 4, "stride": 0}, "from 1 to 4"),
    ],
)
def test_squares_that_make_no_map_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        occlusion(small_network(), images(), 1, **options)
