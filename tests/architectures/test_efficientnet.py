"""EfficientNet: what only this paper says of its networks (Tan & Le 2019)."""

import math

import pytest
import torch
from counting import macs, params
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convatlas.architectures.efficientnet import (
    TABLE_1,
    DropConnect,
    EfficientNet,
    EfficientNetSpec,
    MBConv,
    compound,
)
from convatlas.catalog import build, build_meta, find
from convatlas.errors import InputError
from convatlas.recipes.efficientnet import RECIPES

# parameters, multiply-adds at the network's resolution, channels of stages 1 to 9, blocks of
# stages 2 to 8; of independent builds
NETS = {
    "b0": (5_288_548, 385_814_752, "32 16 24 40 80 112 192 320 1280", "1 2 2 3 3 4 1"),
    "b1": (7_794_184, 686_802_832, "32 16 24 40 80 112 192 320 1280", "2 3 3 4 4 5 2"),
    "b2": (9_109_994, 993_561_872, "32 16 24 48 88 120 208 352 1408", "2 3 3 4 4 5 2"),
    "b3": (12_233_232, 1_827_141_392, "40 24 32 48 96 136 232 384 1536", "2 3 3 5 5 6 2"),
    "b4": (19_341_616, 4_393_771_024, "48 24 32 56 112 160 272 448 1792", "2 4 4 6 6 8 2"),
    "b5": (30_389_784, 10_266_384_752, "48 24 40 64 128 176 304 512 2048", "3 5 5 7 7 9 3"),
    "b6": (43_040_704, 19_067_593_536, "56 32 40 72 144 200 344 576 2304", "3 6 6 8 8 11 3"),
    "b7": (66_347_960, 37_745_884_192, "64 32 48 80 160 224 384 640 2560", "4 7 7 10 10 13 4"),
}

# B0 at 224: parameters and multiply-adds of stages 1 to 8, of the last convolution, of fc
B0_STAGES = [
    (928, 10_838_016),
    (1_448, 10_035_712),
    (16_714, 54_945_216),
    (46_640, 37_939_584),
    (242_930, 43_555_200),
    (543_148, 86_102_400),
    (2_026_348, 91_528_224),
    (717_232, 29_520_000),
    (412_160, 20_070_400),
    (1_281_000, 1_280_000),
]


def blocks(model: nn.Module) -> list[MBConv]:
    return [module for module in model.modules() if isinstance(module, MBConv)]


@pytest.mark.parametrize(
    "net",
    [*list(NETS)[:5], *(pytest.param(net, marks=pytest.mark.slow) for net in list(NETS)[5:])],
)
def test_scaling_by_the_coefficients_gives_the_published_networks(net):
    name, (parameters, cost, channels, layers) = f"efficientnet_{net}", NETS[net]
    model = build_meta(name)
    assert params(model) == parameters
    assert macs(model, *find(name)[1].input_shape) == cost
    widths = [stage[-1].project.conv.out_channels for stage in model.stages]
    widths = [model.stem.conv.conv.out_channels, *widths, model.head.conv.conv.out_channels]
    assert widths == [int(width) for width in channels.split()]
    assert [len(stage) for stage in model.stages] == [int(layer) for layer in layers.split()]


def test_each_stage_of_b0_has_its_parameters_and_multiply_adds():
    model = build_meta("efficientnet_b0").eval()
    parts = [model.stem, *model.stages, model.head.conv, model.head.fc]
    x, counts = torch.empty(1, 3, 224, 224, device="meta"), []
    for part in parts:
        x = x.mean((2, 3)) if part is model.head.fc else x
        with FlopCounterMode(display=False) as counter:
            x = part(x)
        counts.append((params(part), counter.get_total_flops() // 2))
    assert counts == B0_STAGES


def test_a_stage_halves_its_maps_in_its_first_block_if_table_1_says_so():
    model, sides = build_meta("efficientnet_b0").eval(), []
    for block in blocks(model):
        block.register_forward_hook(lambda *at: sides.append(at[2].shape[-1]))
    model(torch.empty(1, 3, 224, 224, device="meta"))
    assert sides == [112, *2 * [56], *2 * [28], *6 * [14], *5 * [7]]


def test_squeeze_and_excite_narrows_to_a_quarter_of_the_input_of_the_block():
    widths = [block.se.reduce.out_channels for block in blocks(build_meta("efficientnet_b0"))]
    assert widths == [8, 4, 6, 6, 10, 10, 20, 20, 20, 28, 28, 28, 48, 48, 48, 48]


def test_only_blocks_that_widen_have_a_convolution_for_it():
    model = build_meta("efficientnet_b1")
    assert all(block.expand is None for block in model.stages.stage2)
    assert all(block.expand is not None for block in blocks(model)[len(model.stages.stage2) :])


def test_the_chance_to_be_dropped_rises_from_block_to_block_and_only_with_a_shortcut():
    found = blocks(build_meta("efficientnet_b0"))
    rates = {i: block.drop.rate for i, block in enumerate(found) if block.drop is not None}
    assert rates == pytest.approx({i: 0.2 * i / 16 for i in (2, 4, 6, 7, 9, 10, 12, 13, 14)})


def test_drop_connect_drops_whole_images_and_keeps_the_mean():
    torch.manual_seed(0)
    x, drop = torch.randn(4000, 2, 3, 1), DropConnect(0.2)
    y = drop(x)
    kept = y.flatten(1).any(1)
    torch.testing.assert_close(y[kept], x[kept] / 0.8)
    assert not y[~kept].any()
    assert kept.float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert torch.equal(drop.eval()(x), x)


def plain_norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    x = (x - mean[:, None, None]) / torch.sqrt(var + 1e-3)[:, None, None]
    return x * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]


def plain_conv(
    state: dict[str, Tensor], name: str, x: Tensor, stride: int = 1, groups: int = 1
) -> Tensor:
    weight = state[f"{name}.conv.weight"]
    x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=groups)
    return plain_norm(state, f"{name}.norm", x)


def plain_block(state: dict[str, Tensor], name: str, x: Tensor, stride: int) -> Tensor:
    y = x
    if f"{name}.expand.conv.weight" in state:
        y = F.silu(plain_conv(state, f"{name}.expand", y))
    y = F.silu(plain_conv(state, f"{name}.dw", y, stride, y.shape[1]))
    gate = y.mean((2, 3), keepdim=True)
    for part, act in (("reduce", F.silu), ("expand", torch.sigmoid)):
        weight, bias = (state[f"{name}.se.{part}.{kind}"] for kind in ("weight", "bias"))
        gate = act(F.conv2d(gate, weight, bias))
    y = plain_conv(state, f"{name}.project", y * gate)
    return x + y if x.shape == y.shape else y


def plain_b0(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """B0 in evaluation mode, block after block."""
    x = F.silu(plain_conv(state, "stem.conv", x, 2))
    for stage, (layers, stride) in enumerate(
        [(1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1)], start=2
    ):
        for i in range(layers):
            x = plain_block(state, f"stages.stage{stage}.{i}", x, stride if i == 0 else 1)
    x = F.silu(plain_conv(state, "head.conv", x)).mean((2, 3))
    return F.linear(x, state["head.fc.weight"], state["head.fc.bias"])


def test_the_function_is_that_of_a_plain_re_implementation():
    torch.manual_seed(1)
    model = build("efficientnet_b0", num_classes=5).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    # so large that each stride of 2 still changes the shape, by which plain_block knows it
    x = torch.randn(2, 3, 70, 67)
    with torch.no_grad():
        expected = plain_b0(model.state_dict(), x)
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


@settings(deadline=None)
@given(width=st.floats(0.1, 8), channels=st.integers(1, 2048))
def test_channels_are_multiples_of_8_and_not_much_fewer_than_asked(width, channels):
    widened = EfficientNetSpec(width).widened(channels)
    assert widened % 8 == 0
    assert 0.9 * channels * width <= widened <= max(8, channels * width + 8)


@pytest.mark.parametrize(
    ("width", "channels", "widened"),
    [(1.4, 32, 48), (1.1, 24, 24), (1.2, 16, 24), (1.1, 1280, 1408)],
)
def test_rounding_of_channels(width, channels, widened):
    assert EfficientNetSpec(width).widened(channels) == widened


@pytest.mark.parametrize("phi", [0, 0.5, 1, 2, 3])
def test_compound_scaling_grows_the_cost_by_1_92_to_the_phi(phi):
    variant = compound(phi)
    with torch.device("meta"):
        cost = macs(EfficientNet(variant.spec), *variant.input_shape)
    assert 1 <= cost / NETS["b0"][1] / (1.2 * 1.1**2 * 1.15**2) ** phi < 1.45  # layers: rounded up


def test_fresh_weights_have_the_deviations_of_the_authors_code():
    torch.manual_seed(2)
    model = build("efficientnet_b0")
    block = model.stages.stage7[1]
    for conv, fan_out in (
        (block.expand.conv, 1152),
        (block.dw.conv, 25),  # TensorFlow counts one output a channel
        (block.project.conv, 192),
        (model.head.conv.conv, 1280),
    ):
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.03)
    bound = 1 / math.sqrt(1000)
    assert 0.99 * bound < model.head.fc.weight.abs().max() <= bound
    assert not any(module.bias.any() for module in (model.head.fc, block.se.reduce))


def test_batch_norm_follows_the_paper():
    norms = [m for m in build_meta("efficientnet_b0").modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.01, 1e-3)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width_mult": 0}, "width_mult is a positive number"),
        ({"depth_mult": "deep"}, "depth_mult takes a number, such as 1.0; got 'deep'"),
        ({"dropout": 1}, "dropout must be at least 0 and less than 1, not 1.0"),
        ({"drop_connect": -0.1}, "drop_connect must be at least 0 and less than 1"),
    ],
)
def test_what_no_network_can_be_built_with_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        build_meta("efficientnet_b0", **changes)


def test_an_image_of_32_pixels_leaves_one_cell():
    model = build_meta("efficientnet_b0").eval()
    assert model.stages(model.stem(torch.empty(1, 3, 32, 32, device="meta"))).shape[2:] == (1, 1)
    strides = math.prod(row.stride for row in TABLE_1.values()) * 2
    assert strides == 32


def test_the_rate_warms_up_and_then_falls_by_3_percent_every_2_4_epochs():
    schedule = RECIPES["imagenet"].schedule
    assert [schedule(epoch) for epoch in (0, 2.5, 4.99)] == pytest.approx([0, 0.5, 0.998])
    for epoch in (5, 7.1, 7.3, 100, 239.9, 240.1, 349.9):
        assert schedule(epoch) == pytest.approx(0.97 ** math.floor(epoch / 2.4 + 1e-9))
