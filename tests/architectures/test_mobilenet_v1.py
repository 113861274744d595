"""MobileNet: what only this paper says of its networks (Howard et al. 2017)."""

import math
from fractions import Fraction

import pytest
import torch
from counting import macs, params
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.architectures.mobilenet_v1 import (
    TABLE_1,
    DepthwiseSeparable,
    MobileNetV1Spec,
    make_full_convolution,
)
from convatlas.catalog import build, build_meta
from convatlas.errors import InputError
from convatlas.recipes.mobilenet_v1 import RECIPES

# parameters, and multiply-adds at 224, 192, 160 and 128, of independent builds (Tables 6 and 7)
COUNTS = {
    "mobilenet_v1": (4_231_976, [568_740_352, 418_121_728, 290_675_200, 186_400_768]),
    "mobilenet_v1_075": (2_585_560, [325_400_448, 239_273_472, 166_396_800, 106_770_432]),
    "mobilenet_v1_050": (1_331_592, [149_497_088, 109_970_432, 76_524_800, 49_160_192]),
    "mobilenet_v1_025": (470_072, [41_030_272, 30_212_608, 21_059_200, 13_570_048]),
    "mobilenet_v1_full_convolutions": (29_294_088, [4_867_293_184]),  # Table 4
    "mobilenet_v1_shallow": (2_887_976, [307_323_392]),  # Table 5
}


def conv_weights(module: nn.Module) -> int:
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_multiply_adds_are_exact(name):
    model, (expected, costs) = build_meta(name), COUNTS[name]
    assert params(model) == expected
    sizes = (224, 192, 160, 128)[: len(costs)]
    assert [macs(model, 3, size, size) for size in sizes] == costs


def test_the_widths_of_the_paper_are_one_network_with_another_width():
    narrow, named = build_meta("mobilenet_v1", width_mult=0.75), build_meta("mobilenet_v1_075")
    shapes = [{k: v.shape for k, v in model.state_dict().items()} for model in (narrow, named)]
    assert shapes[0] == shapes[1]


def test_the_net_has_28_layers_and_a_filter_a_channel_in_each_depthwise_one():
    model = build_meta("mobilenet_v1")
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 28
    depthwise = [block.dw.conv.weight.shape for block in model.stages]
    assert depthwise == [
        (width, 1, 3, 3) for width in (32, *(row.channels for row in TABLE_1[:-1]))
    ]


def test_the_last_block_keeps_its_maps_of_7x7():
    model, sizes = build_meta("mobilenet_v1").eval(), {}
    for name, block in model.stages.named_children():
        block.register_forward_hook(lambda *at, name=name: sizes.update({name: at[2].shape[1:]}))
    model(torch.empty(1, 3, 224, 224, device="meta"))
    assert sizes["block11"] == (512, 14, 14)
    assert sizes["block12"] == sizes["block13"] == (1024, 7, 7)
    assert model.cam_layer == "stages.block13"


# Table 3: a layer of 512 channels in and out on 14 x 14 maps, its multiply-adds and weights
@pytest.mark.parametrize(
    ("make", "alpha", "size", "cost", "weights"),
    [
        (make_full_convolution, 1, 14, 462_422_016, 2_359_296),
        (DepthwiseSeparable, 1, 14, 52_283_392, 266_752),
        (DepthwiseSeparable, 0.75, 14, 29_578_752, 150_912),
        (DepthwiseSeparable, 0.75, 10, 15_091_200, 150_912),
    ],
)
def test_table_3_shrinks_one_layer_step_by_step(make, alpha, size, cost, weights):
    width = MobileNetV1Spec(alpha).widened(512)
    with torch.device("meta"):
        layer = make(width, width, 1)
    assert macs(layer, width, size, size) == cost
    assert conv_weights(layer) == weights


@settings(max_examples=25, deadline=None)  # 50 traces
@given(
    in_channels=st.integers(1, 40),
    out_channels=st.integers(1, 40),
    stride=st.sampled_from([1, 2]),
    size=st.integers(1, 9),
)
def test_a_separable_convolution_costs_1_over_n_plus_1_over_9(
    in_channels, out_channels, stride, size
):
    with torch.device("meta"):
        separable = DepthwiseSeparable(in_channels, out_channels, stride)
        full = make_full_convolution(in_channels, out_channels, stride)
    ratio = Fraction(macs(separable, in_channels, size, size), macs(full, in_channels, size, size))
    assert ratio == Fraction(1, out_channels) + Fraction(1, 9)


def plain_mobilenet(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Table 1 in evaluation mode, line after line."""

    def conv(name: str, x: Tensor, stride: int = 1, padding: int = 0, groups: int = 1) -> Tensor:
        x = F.conv2d(x, state[f"{name}.conv.weight"], None, stride, padding, groups=groups)
        mean, var = state[f"{name}.norm.running_mean"], state[f"{name}.norm.running_var"]
        scale, shift = state[f"{name}.norm.weight"], state[f"{name}.norm.bias"]
        x = (x - mean[:, None, None]) / torch.sqrt(var + 1e-5)[:, None, None]
        return F.relu(x * scale[:, None, None] + shift[:, None, None])

    x = conv("stem.conv1", x, 2, 1)
    for i in range(1, 14):
        x = conv(f"stages.block{i}.dw", x, 2 if i in (2, 4, 6, 12) else 1, 1, x.shape[1])
        x = conv(f"stages.block{i}.pw", x)
    return F.linear(x.mean((2, 3)), state["head.fc.weight"], state["head.fc.bias"])


def test_the_function_is_that_of_a_plain_re_implementation():
    torch.manual_seed(0)
    model = build("mobilenet_v1_025", num_classes=5).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_var, module.weight):
                nn.init.uniform_(values, 0.5, 2.0)
            for values in (module.running_mean, module.bias):
                nn.init.uniform_(values, -0.5, 0.5)
    x = torch.randn(2, 3, 75, 64)
    with torch.no_grad():
        expected = plain_mobilenet(model.state_dict(), x)
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)


def test_no_layer_has_fewer_than_eight_channels():
    model = build_meta("mobilenet_v1", width_mult=0.01)
    widths = {m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)}
    assert widths == {8, 10}


@settings(deadline=None)
@given(width=st.floats(0.01, 4), channels=st.integers(8, 2048))
def test_a_width_is_rounded_down(width, channels):
    widened = MobileNetV1Spec(width).widened(channels)
    assert widened == max(8, math.floor(channels * width))


def test_fresh_weights_are_a_truncated_normal_of_standard_deviation_0_09():
    torch.manual_seed(1)
    weight = build("mobilenet_v1_050").stages.block13.pw.conv.weight
    assert weight.abs().max() <= 0.18
    # cut at two deviations, a normal distribution keeps 0.8796 of its own
    assert weight.std().item() == pytest.approx(0.8796 * 0.09, rel=0.01)


@pytest.mark.parametrize("width", [0, -1, float("nan"), float("inf")])
def test_a_width_that_no_network_has_is_refused(width):
    with pytest.raises(InputError, match="width_mult is a positive number"):
        build_meta("mobilenet_v1", width_mult=width)


def test_a_width_that_is_no_number_is_refused():
    with pytest.raises(InputError, match=r"width_mult takes a number.*got '0.75'"):
        build_meta("mobilenet_v1", width_mult="0.75")


def test_the_rate_falls_by_6_percent_every_second_epoch():
    schedule = RECIPES["imagenet"].schedule
    assert [schedule(epoch) for epoch in (0, 1.9, 2, 5, 99)] == pytest.approx(
        [1, 1, 0.94, 0.94**2, 0.94**49]
    )
