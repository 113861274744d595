"""AlexNet: what only this paper says of its network (Krizhevsky, Sutskever, Hinton 2012)."""

import copy
import math
import re
from functools import cache

import pytest
import torch
from counting import macs, params
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.catalog import build, build_meta, find
from convatlas.errors import InputError

ALEXNETS = [
    "alexnet",
    "alexnet_towers",
    "alexnet_ungrouped",
    "alexnet_bn",
    "alexnet_owt",
    "caffenet",
]

# parameters and multiply-adds of independent builds, or by hand
COUNTS = {
    "alexnet": (60_965_224, 724_406_816),
    "alexnet_towers": (60_965_224, 724_406_816),
    "alexnet_ungrouped": (62_378_344, 1_135_256_096),
    "alexnet_bn": (60_966_600, 724_406_816),
    "alexnet_owt": (61_100_840, 714_188_480),
    "caffenet": (60_965_224, 724_406_816),
}
# section 3.5: output, parameters, multiply-adds
LAYERS = {
    "stages.conv1": ((96, 55, 55), 34_944, 105_415_200),
    "stages.pool1": ((96, 27, 27), 0, 0),
    "stages.conv2": ((256, 27, 27), 307_456, 223_948_800),
    "stages.pool2": ((256, 13, 13), 0, 0),
    "stages.conv3": ((384, 13, 13), 885_120, 149_520_384),
    "stages.conv4": ((384, 13, 13), 663_936, 112_140_288),
    "stages.conv5": ((256, 13, 13), 442_624, 74_760_192),
    "stages.pool5": ((256, 6, 6), 0, 0),
    "head.fc6": ((4096,), 37_752_832, 37_748_736),
    "head.fc7": ((4096,), 16_781_312, 16_777_216),
    "head.fc8": ((1000,), 4_097_000, 4_096_000),
}
ORDER = {
    "alexnet": "conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 conv3 relu3 conv4 relu4 "
    "conv5 relu5 pool5",
    "alexnet_bn": "conv1 bn1 relu1 pool1 conv2 bn2 relu2 pool2 conv3 bn3 relu3 conv4 bn4 relu4 "
    "conv5 bn5 relu5 pool5",
    "alexnet_owt": "conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5",
    "caffenet": "conv1 relu1 pool1 norm1 conv2 relu2 pool2 norm2 conv3 relu3 conv4 relu4 "
    "conv5 relu5 pool5",
}
SMALL = {"units": 32, "input_size": 67, "num_classes": 5}  # pool5 leaves 1x1 maps


@cache
def meta(name: str) -> nn.Module:
    return build_meta(name).eval()


def fresh(name: str = "alexnet", **arguments) -> nn.Module:
    """Build a small network whose activations are large enough to compare."""
    torch.manual_seed(0)
    small = {**SMALL, "input_size": None} if name == "alexnet_owt" else SMALL
    model = build(name, **{**small, **arguments}).eval()
    for layer in (m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)):
        nn.init.normal_(layer.weight, 0, math.sqrt(2 / layer.weight[0].numel()))
    return model


def images(size: int = 67, count: int = 2) -> Tensor:
    return 30 * torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def size_of(name: str) -> int:
    return find(name)[1].input_shape[1]


@pytest.mark.parametrize("name", ALEXNETS)
def test_parameters_and_multiply_adds_are_exact(name):
    assert (params(meta(name)), macs(meta(name), 3, size_of(name), size_of(name))) == COUNTS[name]


def test_each_layer_is_that_of_section_3_5():
    model, found = build_meta("alexnet"), {}
    for layer in LAYERS:
        model.get_submodule(layer).register_forward_hook(
            lambda module, _, y, layer=layer: found.__setitem__(
                layer, (y.shape[1:], params(module), layer_macs(module, y))
            )
        )
    model(torch.empty(1, 3, 227, 227, device="meta"))
    assert found == LAYERS


def layer_macs(module: nn.Module, y: Tensor) -> int:
    weight = getattr(module, "weight", None)
    return 0 if weight is None else weight[0].numel() * y.numel()


def test_the_printed_totals():
    model = meta("alexnet")
    assert (params(model.stages), params(model.head)) == (2_334_080, 58_631_144)
    assert params(meta("alexnet_ungrouped").stages) == 3_747_200
    weighted = [layer for layer in LAYERS if "pool" not in layer]
    assert sum(math.prod(LAYERS[layer][0]) for layer in weighted) == 659_272  # "650,000 neurons"
    assert len(weighted) == 8
    assert model.get_parameter("stages.conv4.weight").shape == (384, 192, 3, 3)
    convs = [model.get_submodule(f"stages.conv{i}") for i in range(1, 6)]
    assert [conv.groups for conv in convs] == [1, 2, 1, 2, 2]


@pytest.mark.parametrize("name", ORDER)
def test_the_order_of_the_layers(name):
    assert " ".join(layer for layer, _ in meta(name).stages.named_children()) == ORDER[name]


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("alexnet", "flatten fc6 relu6 drop6 fc7 relu7 drop7 fc8"),
        ("alexnet_owt", "avgpool flatten drop6 fc6 relu6 drop7 fc7 relu7 fc8"),
    ],
)
def test_dropout_comes_after_fc6_and_fc7_in_the_paper_and_before_them_in_torchvision(name, order):
    assert " ".join(layer for layer, _ in meta(name).head.named_children()) == order
    assert [m.p for m in meta(name).modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5]


def test_half_of_the_units_of_fc6_and_fc7_are_dropped_in_training():
    model = fresh(units=2048).train()
    for layer in ("drop6", "drop7"):
        share = []
        module = model.get_submodule(f"head.{layer}")
        module.register_forward_hook(
            lambda _, x, y, share=share: share.append((y[x[0] > 0] == 0).float().mean().item())
        )
        model(images())
        assert share[0] == pytest.approx(0.5, abs=0.1)


def response_normed(x: Tensor, alpha: float, k: float) -> Tensor:
    y = torch.empty_like(x)
    for i in range(x.shape[1]):
        energy = x[:, max(0, i - 2) : i + 3].square().sum(1)
        y[:, i] = x[:, i] / (k + alpha * energy) ** 0.75
    return y


def plain_logits(weights: dict[str, Tensor], x: Tensor, pool_first: bool) -> Tensor:
    """Section 3.5 with plain functions, the two halves computed apart."""
    for i, (stride, padding, halves) in enumerate(
        [(4, 0, 1), (1, 2, 2), (1, 1, 1), (1, 1, 2), (1, 1, 2)], start=1
    ):
        weight, bias = weights[f"stages.conv{i}.weight"], weights[f"stages.conv{i}.bias"]
        parts = zip(x.chunk(halves, 1), weight.chunk(halves), bias.chunk(halves), strict=True)
        x = torch.cat([F.conv2d(*part, stride=stride, padding=padding) for part in parts], 1)
        x = x.clamp(min=0)
        if i < 3 and pool_first:
            x = response_normed(F.max_pool2d(x, 3, 2), alpha=1e-4 / 5, k=1)
        elif i < 3:
            x = F.max_pool2d(response_normed(x, alpha=1e-4, k=2), 3, 2)
    x = F.max_pool2d(x, 3, 2).flatten(1)
    for layer in ("fc6", "fc7"):
        x = (x @ weights[f"head.{layer}.weight"].T + weights[f"head.{layer}.bias"]).clamp(min=0)
    return x @ weights["head.fc8.weight"].T + weights["head.fc8.bias"]


@pytest.mark.parametrize("name", ["alexnet", "caffenet"])
def test_the_function_is_that_of_plain_functions(name):
    model = fresh(name)
    with torch.inference_mode():
        expected = plain_logits(model.state_dict(), images(), pool_first=name == "caffenet")
        torch.testing.assert_close(model(images()), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.1


def test_each_half_of_conv2_sees_its_own_half_of_the_maps():
    conv2 = fresh().get_submodule("stages.conv2")
    x = torch.randn(1, 96, 7, 7, generator=torch.Generator().manual_seed(0))
    other = x.clone()
    other[:, :48] += 1
    changed = (conv2(x) != conv2(other)).any(3).any(2)[0]
    assert changed[:128].all()
    assert not changed[128:].any()


@pytest.mark.parametrize("name", [name for name in ALEXNETS if name != "alexnet_owt"])
def test_weights_are_drawn_as_the_papers(name):
    """Section 5, and Caffe's fillers."""
    torch.manual_seed(0)
    model = build(name, input_size=99)
    caffe = name == "caffenet"
    layers = (pair for pair in model.named_modules() if isinstance(pair[1], nn.Conv2d | nn.Linear))
    for path, layer in layers:
        short, weight = path.rpartition(".")[2], layer.weight.detach()
        expected = 0.005 if caffe and short in ("fc6", "fc7") else 0.01
        assert weight.std().item() == pytest.approx(expected, rel=4 / math.sqrt(2 * weight.numel()))
        assert abs(weight.mean().item()) < 4 * expected / math.sqrt(weight.numel())
        raised = short in ("conv2", "conv4", "conv5", "fc6", "fc7")
        if layer.bias is not None:
            value = torch.tensor((0.1 if caffe else 1.0) if raised else 0.0)
            assert (layer.bias == value).all()


def test_init_can_be_caffes():
    model = build("alexnet", **SMALL, init="caffe")
    biases = {
        name.split(".")[1]: b[0].item() for name, b in model.named_parameters() if b.dim() == 1
    }
    assert biases == pytest.approx(
        dict(conv1=0, conv2=0.1, conv3=0, conv4=0.1, conv5=0.1, fc6=0.1, fc7=0.1, fc8=0)
    )


@pytest.mark.parametrize(("name", "least", "most"), [("alexnet", 227, 258), ("caffenet", 227, 258)])
def test_only_images_of_the_size_that_fc6_was_built_for_are_taken(name, least, most):
    model = meta(name)
    assert model(torch.empty(1, 3, least, most, device="meta")).shape == (1, 1000)
    with pytest.raises(InputError, match=rf"at least 227x227.*head.fc6.*; got {least - 1}x{most}"):
        model(torch.empty(1, 3, least - 1, most, device="meta"))
    with pytest.raises(InputError, match=f"head.fc6 takes maps of 6x6.*{least} to {most} pixels"):
        model(torch.empty(1, 3, least, most + 1, device="meta"))


def test_images_of_the_printed_224_are_refused_with_advice():
    with pytest.raises(InputError, match=r"224x224 that the paper prints.*crop.*input_size=224"):
        meta("alexnet")(torch.empty(1, 3, 224, 224, device="meta"))


def test_a_padded_conv1_gives_224_the_maps_of_227():
    model = build_meta("alexnet", input_size=224, conv1_padding=2)
    assert (params(model), macs(model, 3, 224, 224)) == COUNTS["alexnet"]


@pytest.mark.parametrize(("size", "side"), [(67, 1), (98, 1), (99, 2), (224, 5), (227, 6)])
def test_fc6_is_made_for_any_input_size(size, side):
    model = build_meta("alexnet", input_size=size)
    assert model.get_submodule("head.fc6").in_features == 256 * side**2
    assert model(torch.empty(1, 3, size, size, device="meta")).shape == (1, 1000)


@pytest.mark.parametrize("size", [(63, 63), (64, 300), (224, 224)])
def test_torchvisions_net_takes_any_image_that_reaches_pool5(size):
    assert meta("alexnet_owt")(torch.empty(1, 3, *size, device="meta")).shape == (1, 1000)
    with pytest.raises(InputError, match=r"at least 63x63, the least for stages.pool5; got 62x63"):
        meta("alexnet_owt")(torch.empty(1, 3, 62, 63, device="meta"))


@pytest.mark.parametrize("name", ALEXNETS)
@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((3, 227, 227), torch.float32, "3 dimensions"),
        ((1, 3, 227, 227), torch.uint8, "floating-point"),
        ((1, 1, 227, 227), torch.float32, "build it with in_channels=1"),
    ],
)
def test_what_is_no_batch_of_colour_images_is_refused(name, shape, dtype, message):
    with pytest.raises(InputError, match=message):
        meta(name)(torch.empty(shape, dtype=dtype, device="meta"))


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("alexnet", {"groups": 3}, "groups is 2, or 1 for no groups, not 3"),
        ("alexnet", {"init": "he"}, "init takes 'paper', 'caffe' or 'torch'; got 'he'"),
        ("alexnet", {"dropout": "no"}, "dropout takes 'after' or 'before'; got 'no'"),
        ("alexnet", {"input_size": 66}, "input_size must be at least 67, not 66"),
        ("alexnet", {"input_size": 227.0}, "a whole number or None; got 227.0"),
        ("alexnet", {"input_size": True}, "a whole number or None; got True"),
        ("alexnet", {"units": 0}, "units must be at least 1, not 0"),
        ("alexnet", {"conv1_padding": -1}, "conv1_padding must be at least 0, not -1"),
        ("alexnet_towers", {"groups": 1}, "towers need groups=2"),
        ("alexnet_towers", {"units": 7}, "an even number of units"),
        ("alexnet_towers", {"input_size": None}, "an input_size"),
        ("alexnet_towers", {"dropout": "before"}, "dropout='after'"),
    ],
)
def test_specs_of_no_network_are_refused(name, overrides, message):
    with pytest.raises(InputError, match=re.escape(message)):
        build_meta(name, **overrides)


@pytest.mark.parametrize("name", ALEXNETS)
def test_any_number_of_classes_and_channels(name):
    model = fresh(name, num_classes=1, in_channels=2)
    logits = model(torch.zeros(3, 2, 67, 67))
    assert logits.shape == (3, 1)
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", ALEXNETS)
def test_copied_and_restored_networks_are_equal(name):
    model = fresh(name)
    with torch.inference_mode():
        expected = model(images())
        assert torch.equal(copy.deepcopy(model)(images()), expected)
        other = build_meta(name, **model_arguments(model)).to_empty(device="cpu").eval()
        other.reset_parameters()
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(images()), expected)


def model_arguments(model: nn.Module) -> dict:
    made = dict(model.created_as)
    del made["name"]
    return {**made.pop("overrides"), **made}


@pytest.mark.parametrize("name", ["alexnet", "alexnet_towers", "alexnet_owt"])
def test_compiled_and_exported_networks_are_equal(name):
    model = fresh(name)
    with torch.no_grad():
        expected = model(images())
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        exported = torch.export.export(model, (images(),)).module()
        # response norm is computed in another order where it is traced
        for found in (compiled(images()), exported(images())):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ALEXNETS)
def test_the_layer_of_activation_maps_is_the_relu_of_conv5(name):
    model, shapes = build_meta(name), []
    layer = model.get_submodule(model.cam_layer)
    assert isinstance(layer, nn.ReLU)
    layer.register_forward_hook(lambda *at: shapes.append(at[2].shape))
    model(torch.empty(1, 3, size_of(name), size_of(name), device="meta"))
    assert shapes == [(1, 256, 13, 13)]


def test_only_towers_can_be_placed_on_two_devices():
    with pytest.raises(InputError, match="only alexnet_towers"):
        fresh().place("cpu", "cpu")


def test_each_tower_moves_to_its_own_device():
    model = fresh("alexnet_towers").place("cpu", "meta")
    devices = {name: p.device.type for name, p in model.named_parameters()}
    assert {name for name, device in devices.items() if device == "meta"} == {
        name for name in devices if ".tower2." in name
    }


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a second device")
def test_towers_on_two_devices_equal_towers_on_one():
    model = fresh("alexnet_towers")
    with torch.inference_mode():
        expected = model(images())
        placed = model.place("cpu", "cuda")(images())
    assert placed.device.type == "cpu"
    torch.testing.assert_close(placed, expected, rtol=1e-3, atol=1e-3)
