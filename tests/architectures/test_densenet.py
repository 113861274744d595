"""DenseNet: what only this paper says of its networks (Huang et al. 2016)."""

import math
import re

import pytest
import torch
from counting import macs, params, some
from hypothesis import given
from hypothesis import strategies as st
from plain import active
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.analysis.memory import training_memory
from convatlas.architectures.densenet import DenseLayer, DenseNetSpec, parse
from convatlas.catalog import build, build_meta, find
from convatlas.errors import InputError

# parameters and multiply-adds of independent builds; the paper prints 1.0M, 7.0M, 27.2M, 0.8M,
# 15.3M and 25.6M (Table 2), the authors' page 1.5M, 2.7M and 4.3M for the wide nets of 40 layers
COUNTS = {
    "densenet121": (7_978_856, 2_834_161_664),
    "densenet169": (14_149_480, 3_359_843_328),
    "densenet201": (20_013_928, 4_291_365_888),
    "densenet264": (33_337_704, 5_751_653_376),
    "densenet161": (28_681_000, 7_727_907_072),
    "densenet40_k12_cifar": (1_019_722, 264_812_928),
    "densenet100_k12_cifar": (6_979_642, 1_769_516_448),
    "densenet100_k24_cifar": (27_249_082, 6_889_347_744),
    "densenet_bc100_k12_cifar": (769_162, 287_929_692),
    "densenet_bc250_k24_cifar": (15_324_406, 5_418_785_724),
    "densenet_bc190_k40_cifar": (25_624_430, 9_301_945_740),
    "densenet_bc40_k12_cifar": (176_122, 72_365_352),
    "densenet_bc40_k36_cifar": (1_542_682, 647_298_936),
    "densenet_bc40_k48_cifar": (2_733_130, 1_149_867_168),
    "densenet_bc40_k60_cifar": (4_261_690, 1_795_836_360),
}
SHORT = {"densenet121", "densenet40_k12_cifar", "densenet_bc100_k12_cifar"}

# maps that enter the first block, then those that leave each block and transition
CHANNELS = {
    "densenet121": [64, 256, 128, 512, 256, 1024, 512, 1024],
    "densenet161": [96, 384, 192, 768, 384, 2112, 1056, 2208],
    "densenet169": [64, 256, 128, 512, 256, 1280, 640, 1664],
    "densenet201": [64, 256, 128, 512, 256, 1792, 896, 1920],
    "densenet264": [64, 256, 128, 512, 256, 2304, 1152, 2688],
    "densenet40_k12_cifar": [16, 160, 160, 304, 304, 448],
    "densenet_bc100_k12_cifar": [24, 216, 108, 300, 150, 342],
    "densenet_bc190_k40_cifar": [80, 1320, 660, 1900, 950, 2190],
}


def layers(model: nn.Module) -> list[DenseLayer]:
    return [part for part in model.modules() if isinstance(part, DenseLayer)]


@pytest.mark.parametrize("name", some(COUNTS, SHORT))
def test_parameters_and_multiply_adds_are_exact(name):
    model = build_meta(name)
    shape = find(name)[1].input_shape
    assert (params(model), macs(model, *shape)) == COUNTS[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("densenet40_k12_cifar", 1_060_132),
        ("densenet100_k24_cifar", 27_457_972),
        ("densenet_bc100_k12_cifar", 800_032),
    ],
)
def test_parameters_with_100_classes(name, expected):
    assert params(build_meta(name, num_classes=100)) == expected


@pytest.mark.parametrize("name", some(CHANNELS, SHORT))
def test_the_name_counts_the_weight_layers(name):
    modules = build_meta(name).modules()
    layers = sum(isinstance(m, nn.Conv2d | nn.Linear) for m in modules)
    one_short = name == "densenet264"  # 2 (6 + 12 + 64 + 48) + 5
    assert layers == int(re.search(r"\d+", name)[0]) + one_short


@pytest.mark.parametrize("name", some(CHANNELS, SHORT))
def test_maps_grow_by_k_a_layer_and_transitions_keep_theta_of_them(name):
    model, spec, channels = build_meta(name), find(name)[1].spec, CHANNELS[name]
    expected = [
        k0 + spec.growth_rate * layer
        for k0, count in zip(channels[0::2], spec.blocks, strict=True)
        for layer in range(count)
    ]
    assert [layer.composite.norm1.num_features for layer in layers(model)] == expected
    assert expected[0] == spec.init_channels
    transitions = [m for n, m in model.stages.named_children() if "transition" in n]
    assert [m.conv.in_channels for m in transitions] == channels[1:-1:2]
    assert [m.conv.out_channels for m in transitions] == channels[2::2]
    assert model.final.norm.num_features == channels[-1]


def test_maps_are_those_of_table_1():
    model = build_meta("densenet121").eval()
    x = model.stem(torch.empty(1, 3, 224, 224, device="meta"))
    sizes = {"dense1": 56, "dense2": 28, "dense3": 14, "dense4": 7}
    for name, stage in model.stages.named_children():
        x = stage(x)
        if name in sizes:
            assert x.shape[2:] == (sizes[name], sizes[name])


def spec(**changes: object) -> DenseNetSpec:
    return DenseNetSpec(**{"blocks": (5,), "growth_rate": 4, "init_channels": 6, **changes})


@pytest.mark.parametrize("bottleneck", [True, False])
def test_a_layer_appends_its_k_maps_and_leaves_the_others(bottleneck):
    torch.manual_seed(0)
    layer = DenseLayer(6, spec(bottleneck=bottleneck)).eval()
    x = torch.randn(2, 6, 5, 5)
    y = layer(x)
    assert y.shape == (2, 10, 5, 5)
    assert torch.equal(y[:, :6], x)
    assert torch.equal(y[:, 6:], layer.composite(x))


def test_the_maps_of_layer_l_stay_where_they_were_put():
    """Layer l of a block has channels k0 + k (l - 1) to k0 + k l of all that follow."""
    torch.manual_seed(0)
    block = build("densenet_bc40_k12_cifar").stages.dense1.eval()
    made = []
    for layer in block:
        layer.composite.register_forward_hook(lambda *at: made.append(at[2]))
    x = torch.randn(1, 24, 8, 8)
    y = block(x)
    assert torch.equal(y[:, :24], x)
    for i, maps in enumerate(made):
        assert torch.equal(y[:, 24 + 12 * i : 24 + 12 * (i + 1)], maps)


@pytest.mark.parametrize("count", [1, 5, 12])
def test_a_block_of_l_layers_has_l_l_plus_1_half_connections(count):
    """Section 1: each layer sees the input of the block and every layer before it."""
    with torch.device("meta"):
        nets = build("densenet_bc40_k12_cifar", blocks=(count,)).stages.dense1
    inputs = [(layer.composite.norm1.num_features - 24) // 12 + 1 for layer in nets]
    assert sum(inputs) == count * (count + 1) // 2


def test_bottlenecks_have_4_k_maps():
    for name in ("densenet121", "densenet_bc100_k12_cifar"):
        k = find(name)[1].spec.growth_rate
        for layer in layers(build_meta(name)):
            convs = [m for m in layer.composite if isinstance(m, nn.Conv2d)]
            assert [(m.kernel_size[0], m.out_channels) for m in convs] == [(1, 4 * k), (3, k)]


def test_b_and_c_can_be_had_alone():
    """Figure 4 compares the basic form, B, C and BC; only two of them are printed with a size."""
    basic = find("densenet40_k12_cifar")[1].spec
    bottleneck = build_meta("densenet40_k12_cifar", bottleneck=True)
    compressing = build_meta("densenet40_k12_cifar", compression=0.5)
    assert len(layers(bottleneck)) == len(layers(compressing)) == sum(basic.blocks)
    assert bottleneck.stages.transition1.conv.out_channels == 160
    assert compressing.stages.transition1.conv.out_channels == 80


def test_compression_rounds_down():
    model = build_meta("densenet_bc40_k12_cifar", growth_rate=3, init_channels=5)
    assert model.stages.transition1.conv.in_channels == 23
    assert model.stages.transition1.conv.out_channels == 11


def test_dropout_follows_every_convolution_but_the_first():
    model = build_meta("densenet_bc40_k12_cifar", dropout=0.2)
    for parent in (m for m in model.modules() if isinstance(m, nn.Sequential)):
        parts = list(parent.children())
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            if isinstance(part, nn.Conv2d) and part is not model.stem.conv0:
                assert isinstance(following, nn.Dropout)
                assert following.p == 0.2
    drops = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    assert len(drops) == 40 - 2  # all layers but the first and the classifier
    assert not any(isinstance(m, nn.Dropout) for m in build_meta("densenet121").modules())


def plain_logits(x: Tensor, weights: dict[str, Tensor], blocks: tuple[int, ...]) -> Tensor:
    if "stem.conv0.conv.weight" in weights:
        x = F.conv2d(x, weights["stem.conv0.conv.weight"], None, 2, 3)
        x = F.max_pool2d(active(x, weights, "stem.conv0.norm"), 3, 2, 1)
    else:
        x = F.conv2d(x, weights["stem.conv0.weight"], padding=1)
    for block, count in enumerate(blocks, start=1):
        features = [x]
        for layer in range(1, count + 1):
            name = f"stages.dense{block}.layer{layer}.composite"
            y = active(torch.cat(features, 1), weights, f"{name}.norm1")
            y = F.conv2d(y, weights[f"{name}.conv1.weight"], padding="same")
            if f"{name}.conv2.weight" in weights:
                y = active(y, weights, f"{name}.norm2")
                y = F.conv2d(y, weights[f"{name}.conv2.weight"], padding="same")
            features.append(y)
        x = torch.cat(features, 1)
        if block < len(blocks):
            x = active(x, weights, f"stages.transition{block}.norm")
            x = F.conv2d(x, weights[f"stages.transition{block}.conv.weight"])
            x = F.avg_pool2d(x, 2)
    x = active(x, weights, "final.norm").mean((2, 3))
    return x @ weights["head.fc.weight"].T + weights["head.fc.bias"]


@pytest.mark.parametrize(
    ("name", "blocks", "size"),
    [
        ("densenet121", (2, 3, 2, 2), 40),
        ("densenet40_k12_cifar", (3, 2, 2), 9),
        ("densenet_bc100_k12_cifar", (3, 2, 2), 9),
    ],
)
def test_it_computes_what_plain_functions_compute(name, blocks, size):
    torch.manual_seed(0)
    model = build(name, num_classes=7, blocks=blocks).eval()
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -0.2, 0.2)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.2, 0.2)
    image = torch.randn(2, 3, size, size + 3)
    with torch.inference_mode():
        expected = plain_logits(image, model.state_dict(), blocks)
        torch.testing.assert_close(model(image), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "least", "layer"),
    [("densenet121", 29, "stages.transition3"), ("densenet40_k12_cifar", 4, "stages.transition2")],
)
def test_the_last_transition_needs_two_pixels(name, least, layer):
    model = build_meta(name).eval()
    assert model(torch.empty(1, 3, least, least, device="meta")).shape[0] == 1
    message = f"at least {least}x{least}, the least for {layer}; got {least}x{least - 1}"
    with pytest.raises(InputError, match=message):
        model(torch.empty(1, 3, least, least - 1, device="meta"))


@pytest.mark.parametrize("name", ["densenet121", "densenet_bc100_k12_cifar"])
def test_weights_are_drawn_as_the_authors_draw_them(name):
    torch.manual_seed(0)
    model = build(name, blocks=(1, 1, 2, 2) if name == "densenet121" else (2, 2, 2))
    for conv in (m for m in model.modules() if isinstance(m, nn.Conv2d)):
        maps = conv.in_channels if name == "densenet121" else conv.out_channels
        expected = math.sqrt(2 / (conv.kernel_size[0] ** 2 * maps))
        error = 4 / math.sqrt(2 * conv.weight.numel())  # four standard errors
        assert conv.weight.std().item() == pytest.approx(expected, rel=error)
        assert conv.bias is None
    assert not model.head.fc.bias.any()


def test_a_trained_layer_can_reuse_what_was_made_before():
    """The gradient of the last layer's maps reaches every earlier layer of the block directly."""
    torch.manual_seed(0)
    block = build("densenet_bc40_k12_cifar").stages.dense1
    for layer in list(block)[1:-1]:
        nn.init.zeros_(layer.composite.conv2.weight)  # no path through the layers between
    block(torch.randn(2, 24, 8, 8))[:, -12:].square().sum().backward()
    assert block.layer1.composite.conv2.weight.grad.abs().sum() > 0


@given(st.integers(0, 9999), st.integers(0, 9999), st.booleans())
def test_cifar_names_are_those_of_three_equal_blocks(depth, k, bc):
    variant = parse(f"densenet{'_bc' if bc else ''}{depth}_k{k}_cifar")
    step = 6 if bc else 3
    if depth >= step + 4 and depth % step == 4 % step and 1 <= k <= 999:
        assert variant.spec.blocks == ((depth - 4) // step,) * 3
        assert variant.spec.bottleneck is bc
        assert variant.spec.init_channels == (2 * k if bc else 16)
    else:
        assert variant is None


@pytest.mark.parametrize(
    "name",
    ["densenet040_k12_cifar", "densenet40_cifar", "densenet_bc100_k12", "densenet40_k0_cifar"],
)
def test_other_names_are_not_read(name):
    assert parse(name) is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"growth_rate": 0}, "growth_rate must be at least 1, not 0"),
        ({"init_channels": 2.5}, "init_channels takes a whole number, such as 64; got 2.5"),
        ({"compression": 0}, "compression must be in (0, 1], not 0.0"),
        ({"compression": 1.5}, "compression must be in (0, 1], not 1.5"),
        ({"compression": 0.001}, "compression 0.001 keeps none of 256 maps"),
        ({"dropout": 1}, "dropout must be at least 0 and less than 1, not 1.0"),
        ({"stem": "mnist"}, "stem takes 'imagenet' or 'cifar'; got 'mnist'"),
        ({"blocks": ()}, "blocks has a number of at least 1 for each block, not ()"),
    ],
)
def test_specs_of_no_network_are_refused(overrides, message):
    with pytest.raises(InputError, match=re.escape(message)):
        build_meta("densenet121", **overrides)


def learnt(name: str, rounds: int = 2, **options) -> tuple[nn.Module, list[Tensor]]:
    """Give a network after some steps, and its outputs."""
    torch.manual_seed(0)
    model, outputs = build(name, num_classes=4, **options), []
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for seed in range(rounds):
        torch.manual_seed(seed)
        outputs.append(model(torch.randn(3, 3, 32, 32)))
        optimizer.zero_grad()
        F.cross_entropy(outputs[-1], torch.arange(3)).backward()
        optimizer.step()
    return model, outputs


@pytest.mark.parametrize("options", [{}, {"dropout": 0.3}])
@pytest.mark.parametrize("name", ["densenet_bc40_k12_cifar", "densenet22_k12_cifar"])
def test_memory_efficient_learns_in_the_same_bits(name, options):
    plain, expected = learnt(name, **options)
    efficient, found = learnt(name, **options, memory_efficient=True)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    state = plain.state_dict()  # running statistics too: they have learnt each batch once
    assert list(efficient.state_dict()) == list(state)
    assert all(torch.equal(value, state[key]) for key, value in efficient.state_dict().items())


def test_memory_efficient_answers_alike():
    torch.manual_seed(0)
    plain = build("densenet_bc40_k12_cifar").eval()
    efficient = build("densenet_bc40_k12_cifar", memory_efficient=True).eval()
    efficient.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(efficient(x), plain(x))


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("densenet_bc40_k12_cifar", 0.9),
        pytest.param("densenet121", 0.55, marks=pytest.mark.slow),
    ],
)
def test_memory_efficient_keeps_less(name, most):
    """Pleiss et al. 2017: what is kept grows with the depth, not with its square."""
    shape = find(name)[1].input_shape
    plain, efficient = (
        training_memory(build_meta(name, memory_efficient=flag), shape).peak_bytes(16)
        for flag in (False, True)
    )
    assert efficient < most * plain
