"""GoogLeNet: what only this paper says of its networks (Szegedy et al. 2014)."""

import pytest
import torch
from counting import macs, params
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.architectures.googlenet import (
    TABLE_1,
    Inception,
    Row,
    make_module,
    make_naive_module,
)
from convatlas.catalog import build, build_meta
from convatlas.errors import InputError
from convatlas.layers import ConvLayer
from convatlas.recipes.googlenet import RECIPES

# parameters and multiply-adds at 224, of independent builds; the naive one: see below
COUNTS = {
    ("googlenet", False): (6_998_552, 1_582_671_872),
    ("googlenet", True): (13_378_280, 1_591_044_096),
    ("googlenet_torchvision", False): (6_624_904, 1_498_376_192),
}
# counted from Table 1 by hand: parameters with biases, and millions of multiply-adds
MODULES = {
    "inception_3a": (163_696, 128.05),
    "inception_3b": (388_736, 304.27),
    "inception_4a": (376_176, 73.61),
    "inception_4b": (449_160, 87.91),
    "inception_4c": (510_104, 99.85),
    "inception_4d": (605_376, 118.52),
    "inception_4e": (868_352, 170.00),
    "inception_5a": (1_043_456, 51.08),
    "inception_5b": (1_444_080, 70.70),
}
KERNELS = {"googlenet": (5, 3), "googlenet_torchvision": (3, 2)}  # of the third branch, of pool4


@pytest.mark.parametrize(("name", "sides"), COUNTS)
def test_parameters_and_multiply_adds_are_exact(name, sides):
    model = build_meta(name, sides=sides).eval()
    call = model.forward_with_sides if sides else model
    assert (params(model), macs(call, 3, 224, 224)) == COUNTS[name, sides]


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_the_rows_of_table_1(name):
    model = build_meta("googlenet").eval()
    module, seen = model.stages.get_submodule(name), []
    module.register_forward_hook(lambda *at: seen.append((at[1][0].shape, at[2].shape)))
    model(torch.empty(1, 3, 224, 224, device="meta"))
    row, ((given, left),) = TABLE_1[name], seen
    side = {"3": 28, "4": 14, "5": 7}[name[-2]]
    assert left[1:] == (row.conv1x1 + row.conv3x3 + row.conv5x5 + row.pool_proj, side, side)
    assert params(module) == MODULES[name][0]
    assert macs(module, *given[1:]) / 1e6 == pytest.approx(MODULES[name][1], abs=0.005)


def draw_all(model: nn.Module) -> nn.Module:
    """Make every bias and every statistic of batch norm count."""
    for name, tensor in model.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            nn.init.uniform_(tensor, -0.1, 0.1)
        elif "norm" in name and tensor.dim() == 1:
            nn.init.uniform_(tensor, 0.5, 1.5)
    return model


def plain_conv(state: dict[str, Tensor], name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = state[f"{name}.conv.weight"]
    x = F.conv2d(x, weight, state.get(f"{name}.conv.bias"), stride, weight.shape[-1] // 2)
    if f"{name}.norm.weight" in state:
        mean, var, scale, shift = (
            state[f"{name}.norm.{kind}"][:, None, None]
            for kind in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean) / (var + 1e-3).sqrt() * scale + shift
    return F.relu(x)


def plain_module(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    conv1x1 = plain_conv(state, f"{name}.conv1x1", x)
    conv3x3, conv5x5 = (
        plain_conv(state, f"{name}.{branch}.conv", plain_conv(state, f"{name}.{branch}.reduce", x))
        for branch in ("conv3x3", "conv5x5")
    )
    pool = plain_conv(state, f"{name}.pool.proj", F.max_pool2d(x, 3, 1, 1))
    return torch.cat([conv1x1, conv3x3, conv5x5, pool], 1)


def plain_googlenet(state: dict[str, Tensor], x: Tensor, pool4: int) -> tuple[Tensor, list[Tensor]]:
    """The net written out; gives the logits and the maps that leave 4a and 4d."""
    local = "stem.conv1.norm.weight" not in state
    x = plain_conv(state, "stem.conv1", x, stride=2)
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    x = F.local_response_norm(x, 5, 1e-4, 0.75, 1.0) if local else x
    x = plain_conv(state, "stem.conv2.conv", plain_conv(state, "stem.conv2.reduce", x))
    x = F.local_response_norm(x, 5, 1e-4, 0.75, 1.0) if local else x
    x, maps = F.max_pool2d(x, 3, 2, ceil_mode=True), []
    for letters, pool in (("ab", 3), ("abcde", pool4), ("ab", 0)):
        stage = {"ab": 3 if pool else 5, "abcde": 4}[letters]
        for letter in letters:
            x = plain_module(state, f"stages.inception_{stage}{letter}", x)
            if f"{stage}{letter}" in ("4a", "4d"):
                maps.append(x)
        x = F.max_pool2d(x, pool, 2, ceil_mode=True) if pool else x
    return x.mean((2, 3)) @ state["head.fc.weight"].T + state["head.fc.bias"], maps


def plain_side(state: dict[str, Tensor], name: str, maps: Tensor) -> Tensor:
    x = plain_conv(state, f"{name}.conv", F.avg_pool2d(maps, 5, 3)).flatten(1)
    x = F.relu(F.linear(x, state[f"{name}.fc1.weight"], state[f"{name}.fc1.bias"]))
    return F.linear(x, state[f"{name}.fc2.weight"], state[f"{name}.fc2.bias"])


@pytest.mark.parametrize("name", KERNELS)
def test_the_function_is_that_of_a_plain_re_implementation(name):
    torch.manual_seed(0)
    model = draw_all(build(name, num_classes=7)).eval()
    assert model.stages.inception_3a.conv5x5.conv.conv.kernel_size[0] == KERNELS[name][0]
    x = torch.randn(2, 3, 49, 64)
    with torch.no_grad():
        expected, _ = plain_googlenet(model.state_dict(), x, KERNELS[name][1])
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


def test_side_classifiers_see_4a_and_4d_and_count_for_0_3_each():
    torch.manual_seed(1)
    model = draw_all(build("googlenet", num_classes=5, sides=True)).eval()
    x = torch.randn(1, 3, 223, 223)
    with torch.no_grad():
        logits, sides = model.forward_with_sides(x)
        expected, maps = plain_googlenet(model.state_dict(), x, 3)
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
        for side, name, seen in zip(sides, ("aux1", "aux2"), maps, strict=True):
            plain = plain_side(model.state_dict(), f"sides.{name}", seen)
            torch.testing.assert_close(side.logits, plain, rtol=1e-4, atol=1e-4)
            assert side.weight == 0.3
        assert torch.equal(model(x), logits)


def test_the_default_network_has_no_side_parameters():
    """So that no parameter is without gradient when only `forward` is trained."""
    plain, with_sides = build_meta("googlenet"), build_meta("googlenet", sides=True)
    added = with_sides.state_dict().keys() - plain.state_dict().keys()
    assert {name.rpartition(".")[0] for name in added} == {
        f"sides.{side}.{layer}"
        for side in ("aux1", "aux2")
        for layer in ("conv.conv", "fc1", "fc2")
    }
    assert list(plain.state_dict()) == list(with_sides.state_dict())[: len(plain.state_dict())]


def test_training_with_sides_reaches_every_parameter():
    model = build_meta("googlenet", num_classes=3, sides=True)
    logits, sides = model.forward_with_sides(torch.empty(2, 3, 224, 224, device="meta"))
    (logits.sum() + sum(side.weight * side.logits.sum() for side in sides)).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_side_classifiers_are_refused_where_there_are_none():
    with pytest.raises(InputError, match="build it with sides=True"):
        build_meta("googlenet").forward_with_sides(torch.empty(1, 3, 224, 224, device="meta"))


@pytest.mark.parametrize("size", [223, 270])
def test_the_least_and_the_largest_image_for_the_sides(size):
    model = build_meta("googlenet", sides=True).eval()
    _, sides = model.forward_with_sides(torch.empty(1, 3, size, 240, device="meta"))
    assert [side.logits.shape for side in sides] == [(1, 1000)] * 2
    beyond = size + (1 if size > 240 else -1)
    with pytest.raises(InputError, match=f"223 to 270 pixels a side; got 240x{beyond}"):
        model.forward_with_sides(torch.empty(1, 3, 240, beyond, device="meta"))
    assert model(torch.empty(1, 3, 240, beyond, device="meta")).shape == (1, 1000)


def test_the_sides_of_torchvision_take_any_image():
    model = build_meta("googlenet_torchvision", sides=True).eval()
    assert params(model) == 13_004_888
    _, sides = model.forward_with_sides(torch.empty(1, 3, 64, 96, device="meta"))
    assert [side.logits.shape for side in sides] == [(1, 1000)] * 2


def test_what_the_reductions_save_in_the_example_of_the_lectures():
    """28x28x256 in; 128, 192 and 96 filters; 64 maps of each reduction and of the pooling."""
    with torch.device("meta"):
        naive, naive_out = make_naive_module(256, Row(128, 0, 192, 0, 96, 0), ConvLayer)
        reduced, reduced_out = make_module(256, Row(128, 64, 192, 64, 96, 64), ConvLayer)
    assert (macs(naive, 256, 28, 28), naive_out) == (854_196_224, 672)
    assert (macs(reduced, 256, 28, 28), reduced_out) == (271_351_808, 480)


def test_the_naive_network_has_the_parameters_that_its_growing_maps_ask_for():
    channels, total = 192, 9_472 + 4_160 + 110_784
    for row in filter(None, TABLE_1.values()):
        filters = {1: row.conv1x1, 9: row.conv3x3, 25: row.conv5x5}
        total += sum(count * (area * channels + 1) for area, count in filters.items())
        channels += sum(filters.values())
    model = build_meta("googlenet_naive")
    assert channels == model.head.fc.in_features
    assert params(model) == total + 1000 * (channels + 1)


def test_a_naive_module_passes_its_pooled_input_on_behind_the_filters():
    torch.manual_seed(2)
    module, channels = make_naive_module(4, Row(2, 0, 3, 0, 5, 0), ConvLayer)
    x = torch.randn(1, 4, 6, 6)
    with torch.no_grad():
        y = module(x)
    assert y.shape == (1, channels, 6, 6)
    assert torch.equal(y[:, -4:], F.max_pool2d(x, 3, 1, 1))


def test_a_module_concatenates_its_branches_in_their_order():
    module = Inception({"first": nn.Identity(), "second": nn.ReLU()})
    x = torch.tensor([[[[-1.0, 2.0]]]])
    assert module(x).flatten().tolist() == [-1.0, 2.0, 0.0, 2.0]


@pytest.mark.parametrize(
    ("name", "least", "layer"),
    [("googlenet", 31, "stages.pool4"), ("googlenet_torchvision", 15, "stages.pool3")],
)
def test_the_least_image(name, least, layer):
    model = build_meta(name).eval()
    assert model(torch.empty(1, 3, least, least, device="meta")).shape == (1, 1000)
    with pytest.raises(InputError, match=f"at least {least}x{least}, the least for {layer}"):
        model(torch.empty(1, 3, least - 1, least, device="meta"))
    with pytest.raises(RuntimeError):  # that layer itself
        model.stages(model.stem(torch.empty(1, 3, least - 1, least, device="meta")))


def test_initialization_is_that_of_the_replica():
    torch.manual_seed(3)
    model = build("googlenet", sides=True)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = (3 / module.weight[0].numel()) ** 0.5
            assert 0.95 * bound < module.weight.abs().max() <= bound
            classifier = name in ("head.fc", "sides.aux1.fc2", "sides.aux2.fc2")
            assert (module.bias == (0.0 if classifier else 0.2)).all()


def test_initialization_of_torchvision():
    torch.manual_seed(4)
    model = build("googlenet_torchvision")
    assert model.stem.conv2.conv.conv.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert model.head.fc.weight.std().item() == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": "layer"}, "norm takes 'local' or 'batch'; got 'layer'"),
        ({"pool4": 5}, "pool4 takes 2 or 3; got 5"),
        ({"side_pool": "max"}, "side_pool takes '5x5' or 'adaptive'"),
        ({"init": "he"}, "init takes 'caffe' or 'torchvision'"),
        ({"dropout": 1.0}, "dropout must be at least 0 and less than 1, not 1.0"),
    ],
)
def test_what_no_network_can_be_built_with_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        build_meta("googlenet", **changes)


def test_the_rate_falls_by_4_percent_every_8_epochs():
    schedule = RECIPES["imagenet"].schedule
    for epoch in range(RECIPES["imagenet"].epochs):
        assert schedule(epoch) == pytest.approx(0.96 ** (epoch // 8))


def test_the_quick_recipe_follows_the_square_root():
    recipe = RECIPES["caffe_quick"]
    for epoch in range(recipe.epochs):
        expected = (1 - (epoch + 0.5) / recipe.epochs) ** 0.5
        assert recipe.schedule(epoch + 0.5) == pytest.approx(expected)
