"""ZFNet: what only this paper says of its networks (Zeiler & Fergus 2013)."""

import pytest
import torch
from counting import macs, params
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.catalog import build, build_meta
from convatlas.errors import InputError

COUNTS = {"zfnet": (62_357_608, 1_168_032_896), "zfnet_b": (107_627_624, 2_476_704_896)}

LAYER_PARAMS = {
    "conv1": 14_208,
    "conv2": 614_656,
    "conv3": 885_120,
    "conv4": 1_327_488,
    "conv5": 884_992,
    "fc6": 37_752_832,
    "fc7": 16_781_312,
    "fc8": 4_097_000,
}


def weight_layers(model: nn.Module) -> dict[str, nn.Module]:
    return {
        name.rpartition(".")[2]: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


@pytest.fixture(scope="module")
def small() -> nn.Module:
    """All the convolutions of the paper, and small fully connected layers."""
    torch.manual_seed(0)
    model = build("zfnet", num_classes=5, units=32, input_size=80).eval()
    for module in weight_layers(model).values():
        # larger than the paper's, so that every layer and the normalization count
        nn.init.kaiming_normal_(module.weight)
        nn.init.uniform_(module.bias, -0.1, 0.1)
    return model


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_multiply_adds_are_exact(name):
    model = build_meta(name).eval()
    assert (params(model), macs(model, 3, 224, 224)) == COUNTS[name]


def test_each_layer_has_its_parameters():
    layers = weight_layers(build_meta("zfnet"))
    assert {name: params(layer) for name, layer in layers.items()} == LAYER_PARAMS
    assert all(layer.groups == 1 for layer in layers.values() if isinstance(layer, nn.Conv2d))


def test_maps_have_the_sizes_of_figure_3():
    x, sides = torch.empty(1, 3, 224, 224, device="meta"), []
    for name, module in build_meta("zfnet").eval().stages.named_children():
        x = module(x)
        if name.startswith(("conv", "pool")):
            sides.append(x.shape[-1])
    assert sides == [110, 55, 26, 13, 13, 13, 13, 6]


def plain_contrast_norm(x: Tensor) -> Tensor:
    """Krizhevsky et al. 2012, section 3.3, map by map."""
    maps = []
    for i in range(x.shape[1]):
        energy = x[:, max(0, i - 2) : i + 3].square().sum(1)
        maps.append(x[:, i] / (2 + 1e-4 * energy) ** 0.75)
    return torch.stack(maps, 1)


def plain_zfnet(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Figure 3 in evaluation mode, layer after layer."""
    for i, (stride, padding) in enumerate([(2, 1), (2, 0), (1, 1), (1, 1), (1, 1)], start=1):
        weight, bias = state[f"stages.conv{i}.weight"], state[f"stages.conv{i}.bias"]
        x = F.relu(F.conv2d(x, weight, bias, stride, padding))
        if i in (1, 2, 5):
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        if i in (1, 2):
            x = plain_contrast_norm(x)
    x = x.flatten(1)
    for i in (6, 7):
        x = F.relu(F.linear(x, state[f"head.fc{i}.weight"], state[f"head.fc{i}.bias"]))
    return F.linear(x, state["head.fc8.weight"], state["head.fc8.bias"])


def test_the_function_is_that_of_a_plain_re_implementation(small):
    x = 60 * torch.randn(2, 3, 85, 83)
    with torch.no_grad():
        expected = plain_zfnet(small.state_dict(), x)
        torch.testing.assert_close(small(x), expected, rtol=1e-4, atol=1e-4)


def test_maps_are_pooled_before_they_are_normalized(small):
    names = [name for name, _ in small.stages.named_children()]
    assert names[:8] == ["conv1", "relu1", "pool1", "norm1", "conv2", "relu2", "pool2", "norm2"]


@pytest.mark.parametrize("size", [207, 224, 238])
def test_sizes_that_leave_6x6_maps(size):
    logits = build_meta("zfnet").eval()(torch.empty(1, 3, size, size, device="meta"))
    assert logits.shape == (1, 1000)


@pytest.mark.parametrize(
    ("size", "message"),
    [((206, 224), "at least 207x207"), ((224, 239), "images of 207 to 238 .* maps of 6x7")],
)
def test_other_sizes_are_refused_with_the_legal_ones(size, message):
    with pytest.raises(InputError, match=message):
        build_meta("zfnet").eval()(torch.empty(1, 3, *size, device="meta"))


@settings(max_examples=20, deadline=None)
@given(size=st.integers(47, 300))
def test_a_network_built_for_a_size_takes_it(size):
    model = build_meta("zfnet", input_size=size, units=8).eval()
    assert model(torch.empty(1, 3, size, size, device="meta")).shape == (1, 1000)


def test_fresh_weights_have_a_deviation_of_a_hundredth():
    torch.manual_seed(2)
    for name, layer in weight_layers(build("zfnet", units=256)).items():
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05), name
        assert not layer.bias.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maps": (384, 384)}, "maps takes a tuple of whole numbers"),
        ({"maps": (384, 0, 256)}, "layers 3, 4 and 5 have at least 1 map each"),
        ({"units": 2.5}, "units takes a whole number, such as 4096; got 2.5"),
        ({"input_size": 46}, "input_size must be at least 47, not 46"),
    ],
)
def test_what_no_network_can_be_built_with_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        build_meta("zfnet", **changes)
