"""Network In Network: what only this paper says of its networks (Lin et al. 2013)."""

import pytest
import torch
from counting import macs, params
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.catalog import build, build_meta
from convatlas.errors import InputError
from convatlas.recipes.nin import RECIPES

# classes, input, parameters and multiply-adds, of independent builds
COUNTS = {
    "nin_cifar10": [
        (10, (3, 32, 32), 966_986, 222_486_528),
        (100, (3, 32, 32), 984_356, 223_592_448),
    ],
    "nin_mnist": [(10, (1, 28, 28), 349_674, 50_699_712)],
    "nin_imagenet": [(1000, (3, 224, 224), 7_595_176, 1_100_188_800)],
}

# the layers of the authors' NIN/cifar-10_def: parameters and multiply-adds
CIFAR_10_LAYERS = {
    "conv1": (14_592, 14_745_600),
    "cccp1": (30_880, 31_457_280),
    "cccp2": (15_456, 15_728_640),
    "conv2": (460_992, 117_964_800),
    "cccp3": (37_056, 9_437_184),
    "cccp4": (37_056, 9_437_184),
    "conv3": (331_968, 21_233_664),
    "cccp5": (37_056, 2_359_296),
    "cccp6": (1_930, 122_880),
}


def convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    return {
        name.rpartition(".")[2]: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
    }


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_multiply_adds_are_exact(name):
    for classes, shape, expected, cost in COUNTS[name]:
        model = build_meta(name, num_classes=classes).eval()
        assert (params(model), macs(model, *shape)) == (expected, cost)


def test_each_layer_of_the_cifar_net_is_that_of_the_authors():
    model, counts = build_meta("nin_cifar10").eval(), {}
    for name, conv in convolutions(model).items():

        def count(module: nn.Module, _inputs: object, output: Tensor, name: str = name) -> None:
            cells = output.shape[-2] * output.shape[-1]
            counts[name] = params(module), module.weight.numel() * cells

        conv.register_forward_hook(count)
    model(torch.empty(1, 3, 32, 32, device="meta"))
    assert counts == CIFAR_10_LAYERS
    assert len(model.state_dict()) == 18


@pytest.mark.parametrize(
    ("name", "size", "sides"),
    [
        ("nin_cifar10", 32, [32, 16, 16, 8, 8]),
        ("nin_mnist", 28, [28, 14, 14, 7, 7]),
        ("nin_imagenet", 224, [54, 27, 27, 13, 13, 6, 6]),
    ],
)
def test_pooling_rounds_up(name, size, sides):
    model, found = build_meta(name).eval(), []
    x = torch.empty(1, 3 if name != "nin_mnist" else 1, size, size, device="meta")
    for child, module in model.stages.named_children():
        x = module(x)
        if not child.startswith("drop"):
            found.append(x.shape[-1])
    assert found == sides


def plain_nin(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The CIFAR-10 net in evaluation mode, layer after layer."""
    for i, (first, second) in enumerate([(1, 2), (3, 4), (5, 6)], start=1):
        for name in (f"conv{i}", f"cccp{first}", f"cccp{second}"):
            key = f"stages.mlpconv{i}.{name}"
            weight, bias = state[f"{key}.weight"], state[f"{key}.bias"]
            x = F.relu(F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2))
        if i < 3:
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    return x.flatten(2).sum(2) / x[0, 0].numel()


def test_the_function_is_that_of_a_plain_re_implementation():
    torch.manual_seed(0)
    model = build("nin_cifar10", num_classes=7).eval()
    for conv in convolutions(model).values():
        nn.init.uniform_(conv.bias, -0.5, 0.5)
    x = torch.randn(2, 3, 33, 30)
    with torch.no_grad():
        torch.testing.assert_close(model(x), plain_nin(model.state_dict(), x), rtol=1e-4, atol=1e-5)


def test_an_mlpconv_is_the_same_small_mlp_at_every_place():
    """Section 3.1: a patch goes through three fully connected layers."""
    torch.manual_seed(1)
    mlpconv = build("nin_mnist").stages.mlpconv1
    x = torch.randn(1, 1, 9, 9)
    with torch.no_grad():
        maps, y = mlpconv(x), x[0, :, 2:7, 1:6].flatten()
        for conv in (mlpconv.conv1, mlpconv.cccp1, mlpconv.cccp2):
            y = F.relu(conv.weight.flatten(1) @ y + conv.bias)
    torch.testing.assert_close(maps[0, :, 4, 3], y)


@pytest.mark.parametrize("name", COUNTS)
def test_the_classifier_is_an_average_without_parameters_of_one_map_a_class(name):
    model = build_meta(name, num_classes=12).eval()
    assert params(model.head) == 0
    assert model.get_submodule(model.cam_layer)[-2].out_channels == 12


def test_dropout_stands_where_the_authors_put_it():
    names = {
        name: [child for child, _ in build_meta(name).stages.named_children() if "drop" in child]
        for name in COUNTS
    }
    assert names == {
        "nin_cifar10": ["drop1", "drop2"],
        "nin_mnist": ["drop1", "drop2"],
        "nin_imagenet": ["drop3"],
    }


@pytest.mark.parametrize(
    ("name", "least"), [("nin_cifar10", 4), ("nin_mnist", 4), ("nin_imagenet", 39)]
)
def test_the_least_image(name, least):
    model = build_meta(name).eval()
    channels = 1 if name == "nin_mnist" else 3
    assert model(torch.empty(1, channels, least, least, device="meta")).dim() == 2
    with pytest.raises(InputError, match=f"at least {least}x{least}, the least for stages.pool"):
        model(torch.empty(1, channels, least - 1, least, device="meta"))


def test_fresh_weights_have_the_deviations_of_the_authors_files():
    torch.manual_seed(2)
    convs = convolutions(build("nin_imagenet"))
    expected = dict.fromkeys(convs, 0.05) | dict.fromkeys(("conv1", "conv3", "cccp8"), 0.01)
    for name, conv in convs.items():
        assert conv.weight.std().item() == pytest.approx(expected[name], rel=0.05), name
        assert not conv.bias.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropout": 1.0}, "dropout must be at least 0 and less than 1"),
        ({"drop_after": (3,)}, "drop_after names poolings from 1 to 2"),
    ],
)
def test_what_no_network_can_be_built_with_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        build_meta("nin_cifar10", **changes)


def test_the_rate_ends_at_a_hundredth():
    schedule = RECIPES["cifar10"].schedule
    assert schedule.factor ** schedule.drops([1.0] * 1000) == pytest.approx(0.01)
