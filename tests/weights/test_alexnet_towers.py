"""The three forms of the paper's AlexNet compute one function."""

import pytest
import torch
from torch import nn

from convatlas.catalog import build
from convatlas.errors import InputError
from convatlas.weights.alexnet_towers import to_groups, to_towers, to_ungrouped

SMALL = {"units": 32, "input_size": 99, "num_classes": 5}  # pool5 leaves 2x2 maps


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return 30 * torch.randn(2, 3, 99, 99, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def grouped() -> nn.Module:
    torch.manual_seed(0)
    model = build("alexnet", **SMALL).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, 0.05)
    return model


def with_weights(name: str, weights: dict[str, torch.Tensor]) -> nn.Module:
    model = build(name, **SMALL).eval()
    model.load_state_dict(weights)
    return model


@pytest.mark.parametrize(
    ("name", "convert"), [("alexnet_towers", to_towers), ("alexnet_ungrouped", to_ungrouped)]
)
def test_the_forms_have_equal_outputs(grouped, images, name, convert):
    other = with_weights(name, convert(grouped.state_dict()))
    with torch.inference_mode():
        expected = grouped(images)
        torch.testing.assert_close(other(images), expected, rtol=1e-6, atol=1e-6)
    assert expected.std() > 0.1


def test_towers_and_their_gradients_equal_the_groups(grouped, images):
    towers = with_weights("alexnet_towers", to_towers(grouped.state_dict()))
    for model in (grouped, towers):
        model.zero_grad()
        model(images).square().sum().backward()
    expected = {name: p.grad for name, p in grouped.named_parameters()}
    found = to_groups({name: p.grad for name, p in towers.named_parameters()})
    for name, gradient in expected.items():
        scale = gradient.abs().max().item()
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5 * scale)


def test_the_border_maps_of_the_other_tower_are_seen(grouped, images):
    """Without the exchange four of the 96 maps would be normalised otherwise."""
    towers = with_weights("alexnet_towers", to_towers(grouped.state_dict()))
    maps = {}
    for name, model in (("groups", grouped.stages), ("tower1", towers.stages.towers.tower1)):
        model.norm1.register_forward_hook(lambda *at, name=name: maps.__setitem__(name, at[2]))
    with torch.inference_mode():
        grouped(images)
        towers(images)
    torch.testing.assert_close(maps["tower1"], maps["groups"][:, :48], rtol=1e-6, atol=1e-6)


def test_weights_come_back_from_towers_as_they_were(grouped):
    weights = grouped.state_dict()
    back = to_groups(to_towers(weights))
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weights[name]) for name in weights)


def test_conversions_copy(grouped):
    weights = grouped.state_dict()
    for convert in (to_groups, to_towers, to_ungrouped):
        for tensor in convert(weights).values():
            tensor.zero_()
    assert all(tensor.any() for tensor in weights.values())


@pytest.mark.parametrize("convert", [to_groups, to_towers, to_ungrouped])
def test_weights_without_groups_have_no_way_back(convert):
    weights = build("alexnet_ungrouped", **SMALL).state_dict()
    with pytest.raises(InputError, match=r"conv2 sees 96 of 96 maps.*would lose the connections"):
        convert(weights)


def test_other_weights_are_refused(grouped):
    with pytest.raises(InputError, match=r"not the weights of alexnet.*bn1.bias is unexpected"):
        to_towers(build("alexnet_bn", **SMALL).state_dict())
    weights = grouped.state_dict()
    del weights["head.fc8.bias"]
    with pytest.raises(InputError, match=r"not the weights of alexnet.*head.fc8.bias is missing"):
        to_towers(weights)
