"""VGG: what only this paper says of its networks (Simonyan & Zisserman 2014)."""

import math
import re
from functools import cache
from pathlib import Path

import plain
import pytest
import torch
from counting import macs, params
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.architectures.vgg import TABLE_1, init_from_vgg_a
from convatlas.catalog import build, build_meta, find, variants
from convatlas.errors import InputError

VGGS = [name for name in variants() if find(name)[0].name == "vgg"]

# parameters and multiply-adds of independent builds; Table 2 prints 133, 133, 134, 138, 144 million
COUNTS = {
    "vgg11": (132_863_336, 7_609_090_048),
    "vgg11_lrn": (132_863_336, 7_609_090_048),
    "vgg13": (133_047_848, 11_308_466_176),
    "vgg16_1x1": (133_638_952, 11_770_888_192),
    "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "vgg11_bn": (132_868_840, 7_609_090_048),
    "vgg13_bn": (133_053_736, 11_308_466_176),
    "vgg16_bn": (138_365_992, 15_470_264_320),
    "vgg19_bn": (143_678_248, 19_632_062_464),
}

# the columns of Table 1 in the paper's notation; "|" is a max pooling
COLUMNS = {
    "vgg11": "3-64 | 3-128 | 3-256 3-256 | 3-512 3-512 | 3-512 3-512 |",
    "vgg11_lrn": "3-64 LRN | 3-128 | 3-256 3-256 | 3-512 3-512 | 3-512 3-512 |",
    "vgg13": "3-64 3-64 | 3-128 3-128 | 3-256 3-256 | 3-512 3-512 | 3-512 3-512 |",
    "vgg16_1x1": "3-64 3-64 | 3-128 3-128 | 3-256 3-256 1-256 | 3-512 3-512 1-512 "
    "| 3-512 3-512 1-512 |",
    "vgg16": "3-64 3-64 | 3-128 3-128 | 3-256 3-256 3-256 | 3-512 3-512 3-512 "
    "| 3-512 3-512 3-512 |",
    "vgg19": "3-64 3-64 | 3-128 3-128 | 3-256 3-256 3-256 3-256 | 3-512 3-512 3-512 3-512 "
    "| 3-512 3-512 3-512 3-512 |",
}

# parameters of each convolution of vgg16, as Keras prints them (Boracchi 2023)
LAYERS_OF_D = [
    *(1_792, 36_928),
    *(73_856, 147_584),
    *(295_168, 590_080, 590_080),
    *(1_180_160, 2_359_808, 2_359_808),
    *(2_359_808, 2_359_808, 2_359_808),
]


@cache
def meta(name: str) -> nn.Module:
    return build_meta(name).eval()


@pytest.mark.parametrize("name", VGGS)
def test_parameters_and_multiply_adds_are_exact(name):
    assert (params(meta(name)), macs(meta(name), 3, 224, 224)) == COUNTS[name]


@pytest.mark.parametrize("name", VGGS)
def test_the_page_of_the_docs_prints_these_counts(name):
    page = Path(__file__).parents[2] / "docs" / "architectures" / "vgg.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith(f"| `{name}` |")]
    assert rows
    assert all([f"{count:,}" for count in COUNTS[name]] == row.split(" | ")[2:4] for row in rows)


@pytest.mark.parametrize("name", COLUMNS)
def test_the_layers_are_those_of_table_1(name):
    row = []
    for module in meta(name).stages.modules():
        if isinstance(module, nn.Conv2d):
            assert (module.stride, module.padding) == ((1, 1), (module.kernel_size[0] // 2,) * 2)
            row.append(f"{module.kernel_size[0]}-{module.out_channels}")
        elif isinstance(module, nn.MaxPool2d):
            assert (module.kernel_size, module.stride, module.padding) == (2, 2, 0)
            row.append("|")
        elif type(module).__name__ == "LocalResponseNorm":
            row.append("LRN")
        else:
            assert isinstance(module, nn.Sequential | nn.ReLU)
    assert " ".join(row) == COLUMNS[name]


@pytest.mark.parametrize("name", VGGS)
def test_the_name_counts_the_weight_layers(name):
    layers = [m for m in meta(name).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == int(re.search(r"\d+", name)[0])


@pytest.mark.parametrize("name", VGGS)
def test_nine_tenths_of_the_parameters_are_fully_connected(name):
    head = meta(name).head
    each = [params(head.get_submodule(layer)) for layer in ("fc6", "fc7", "fc8")]
    assert each == [102_764_544, 16_781_312, 4_097_000]
    assert params(head) == sum(each) == 123_642_856
    assert params(head) / params(meta("vgg16")) == pytest.approx(0.894, abs=5e-4)


def test_each_layer_of_d_has_the_parameters_that_keras_prints():
    convs = [m for m in meta("vgg16").modules() if isinstance(m, nn.Conv2d)]
    assert [params(conv) for conv in convs] == LAYERS_OF_D


def test_the_third_layers_of_c_are_1x1():
    assert params(meta("vgg16_1x1").get_submodule("stages.block3.conv3_3")) == 65_792


def test_local_response_normalization_adds_no_parameter():
    assert list(meta("vgg11_lrn").state_dict()) == list(meta("vgg11").state_dict())


def test_one_image_leaves_61_megabytes_of_activations_in_d():
    """Input, convolutions, poolings and fully connected layers; not the ReLUs."""
    values = [3 * 224 * 224]
    kinds = nn.Conv2d | nn.MaxPool2d | nn.Linear
    model = build_meta("vgg16").eval()
    for module in (m for m in model.modules() if isinstance(m, kinds)):
        module.register_forward_hook(lambda *at: values.append(at[2].numel()))
    model(torch.empty(1, 3, 224, 224, device="meta"))
    assert sum(values) == 15_237_608


@pytest.mark.parametrize("name", VGGS)
def test_the_layer_of_activation_maps_is_the_last_relu_before_pool5(name):
    layers = [layer for layer, _ in meta(name).named_modules()]
    layer = meta(name).cam_layer
    assert layers[layers.index(layer) + 1] == "stages.block5.pool5"
    assert isinstance(meta(name).get_submodule(layer), nn.ReLU)


@pytest.mark.parametrize(
    ("claimed", "ours"),
    [
        ("block1_conv1", "stages.block1.conv1_1"),
        ("block5_conv3", "stages.block5.conv5_3"),
        ("block4_pool", "stages.block4.pool4"),
        ("fc1", "head.fc6"),
        ("fc2", "head.fc7"),
        ("predictions", "head.fc8"),
    ],
)
def test_the_names_of_keras_lead_to_our_layers(claimed, ours):
    patterns = find("vgg16")[0].layer_names
    found = [
        match.expand(name)
        for pattern, name in patterns.items()
        if (match := re.fullmatch(pattern, claimed))
    ]
    assert found == [ours]
    assert meta("vgg16").get_submodule(ours)


# An independent VGG: plain functions on the weights, layer after layer.


def normed(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    if f"{name}.weight" not in weights:
        return x
    return plain.normed(x, weights, name)


def response_normed(x: Tensor) -> Tensor:
    """AlexNet, section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75, the sum not divided by n."""
    energy = torch.zeros_like(x)
    for i in range(x.shape[1]):
        energy[:, i] = x[:, max(0, i - 2) : i + 3].square().sum(1)
    return x / (2 + 1e-4 * energy) ** 0.75


def plain_logits(column: str, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    for i, block in enumerate(column.rstrip(" |").split(" | "), start=1):
        for j, entry in enumerate(block.split(), start=1):
            if entry == "LRN":
                x = response_normed(x)
                continue
            name = f"stages.block{i}.conv{i}_{j}"
            padding = 1 if entry.startswith("3") else 0
            x = F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding)
            x = normed(x, weights, f"stages.block{i}.norm{i}_{j}").clamp(min=0)
        x = torch.stack([x[..., a::2, b::2] for a in (0, 1) for b in (0, 1)]).amax(0)
    x = x.flatten(1)  # channel, row, column
    for layer in ("fc6", "fc7", "fc8"):
        x = x @ weights[f"head.{layer}.weight"].T + weights[f"head.{layer}.bias"]
        x = x.clamp(min=0) if layer != "fc8" else x
    return x


@pytest.mark.parametrize(
    ("name", "column"), [("vgg11_lrn",) * 2, ("vgg16_1x1",) * 2, ("vgg13_bn", "vgg13")]
)
def test_the_function_is_that_of_plain_functions(name, column):
    torch.manual_seed(0)
    model = build(name, num_classes=7, input_size=64, init="he").eval()
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -0.1, 0.1)
        nn.init.uniform_(norm.running_var, 0.8, 1.2)
    for layer in (m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)):
        nn.init.uniform_(layer.bias, -0.1, 0.1)
    images = 20 * torch.randn(2, 3, 64, 64)  # large enough for the LRN to matter
    with torch.inference_mode():
        expected = plain_logits(COLUMNS[column], model.state_dict(), images)
        torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)


def test_dropout_follows_the_first_two_fully_connected_layers():
    layers = [layer for layer, _ in meta("vgg16").head.named_children()]
    assert layers == ["flatten", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"]
    assert [m.p for m in meta("vgg16").modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5]


@pytest.mark.parametrize(("input_size", "least"), [(224, 224), (64, 64), (70, 64), (32, 32)])
def test_only_images_of_the_size_that_fc6_was_built_for_are_taken(input_size, least):
    model = build_meta("vgg11", input_size=input_size)
    most = least + 31
    for size in (least, most):
        assert model(torch.empty(1, 3, size, size, device="meta")).shape == (1, 1000)
    with pytest.raises(
        InputError, match=rf"at least {least}x{least}.*head.fc6.*{least - 1}x{most}"
    ):
        model(torch.empty(1, 3, least - 1, most, device="meta"))
    with pytest.raises(InputError, match=f"head.fc6 takes.*{least} to {most} pixels a side"):
        model(torch.empty(1, 3, least, most + 1, device="meta"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"input_size": 31}, "input_size must be at least 32, not 31"),
        ({"input_size": 64.0}, "input_size takes a whole number, such as 224; got 64.0"),
        ({"input_size": True}, "input_size takes a whole number, such as 224; got True"),
        ({"norm": "layer"}, "norm takes 'batch' or None; got 'layer'"),
        ({"init": "xavier"}, "init takes 'paper', 'glorot' or 'he'; got 'xavier'"),
        ({"blocks": "D"}, "blocks takes a tuple of tuples of Conv or 'LRN'; got 'D'"),
        ({"blocks": ()}, "each block has at least one convolution; got ()"),
        ({"blocks": (("LRN",),)}, "each block has at least one convolution; got (('LRN',),)"),
    ],
)
def test_specs_of_no_network_are_refused(overrides, message):
    with pytest.raises(InputError, match=re.escape(message)):
        build_meta("vgg16", **overrides)


def standard_deviation(layer: nn.Conv2d | nn.Linear, init: str) -> float:
    area = math.prod(layer.kernel_size) if isinstance(layer, nn.Conv2d) else 1
    if init == "glorot":
        return math.sqrt(2 / (area * (layer.weight.shape[0] + layer.weight.shape[1])))
    if init == "he" and isinstance(layer, nn.Conv2d):
        return math.sqrt(2 / (area * layer.weight.shape[0]))
    return 0.01


@pytest.mark.parametrize("init", ["paper", "glorot", "he"])
def test_weights_are_drawn_as_the_spec_says(init):
    torch.manual_seed(0)
    model = build("vgg11", input_size=32, init=init)
    for layer in (m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)):
        expected, weight = standard_deviation(layer, init), layer.weight.detach()
        error = 4 / math.sqrt(2 * weight.numel())  # four standard errors of a normal's deviation
        assert weight.std().item() == pytest.approx(expected, rel=error)
        # a uniform distribution ends at sqrt(3) standard deviations, a normal one does not
        assert (weight.abs().max() <= math.sqrt(3) * expected * 1.0001) == (init == "glorot")
        assert not layer.bias.any()


@pytest.mark.parametrize("name", VGGS)
def test_which_initialization_is_the_default(name):
    expected = {"vgg11": "paper", "vgg11_lrn": "paper"}.get(name, "glorot")
    assert find(name)[1].spec.init == ("he" if name.endswith("_bn") else expected)


@pytest.fixture(scope="module")
def a() -> nn.Module:
    torch.manual_seed(1)
    return build("vgg11", num_classes=5, input_size=32)


def test_deeper_nets_start_from_four_convolutions_and_the_head_of_a(a):
    torch.manual_seed(2)
    net = build("vgg13", num_classes=5, input_size=32)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    copied = init_from_vgg_a(net, a)
    assert copied == [
        "stages.block1.conv1_1",
        "stages.block2.conv2_1",
        "stages.block3.conv3_1",
        "stages.block3.conv3_2",
        "head.fc6",
        "head.fc7",
        "head.fc8",
    ]
    for key, value in net.state_dict().items():
        source = a.state_dict() if key.rpartition(".")[0] in copied else before
        assert torch.equal(value, source[key])


def test_layers_of_another_shape_keep_their_weights(a):
    net = build("vgg11_bn", num_classes=9, in_channels=1, input_size=32)
    last = net.head.fc8.weight.clone()
    copied = init_from_vgg_a(net, a)
    assert len(copied) == 5
    assert not {"stages.block1.conv1_1", "head.fc8"} & set(copied)
    assert torch.equal(net.head.fc8.weight, last)


def test_only_a_configuration_a_can_be_started_from():
    with pytest.raises(InputError, match="configuration A"):
        init_from_vgg_a(build_meta("vgg16"), build_meta("vgg13"))


def test_every_configuration_of_table_1_has_its_network():
    specs = [find(name)[1].spec.blocks for name in COLUMNS]
    assert specs == [TABLE_1[letter] for letter in ("A", "A-LRN", "B", "C", "D", "E")]
