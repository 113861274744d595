"""Wide ResNet: what only this paper says of its networks (Zagoruyko & Komodakis 2016)."""

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

from convatlas.architectures.preact_resnet import ResidualUnit
from convatlas.architectures.wide_resnet import parse
from convatlas.catalog import build, build_meta, find
from convatlas.errors import InputError

# parameters and multiply-adds of independent builds: 10 classes on CIFAR, 1000 on ImageNet
COUNTS = {
    "wide_resnet40_1_cifar": (563_930, 83_280_512),
    "wide_resnet40_2_cifar": (2_243_546, 327_599_360),
    "wide_resnet40_4_cifar": (8_949_210, 1_298_582_016),
    "wide_resnet40_8_cifar": (35_748_314, 5_172_024_320),
    "wide_resnet28_10_cifar": (36_479_194, 5_243_328_768),
    "wide_resnet28_12_cifar": (52_517_850, 7_543_905_792),
    "wide_resnet22_8_cifar": (17_158_106, 2_454_115_328),
    "wide_resnet22_10_cifar": (26_797_914, 3_827_751_168),
    "wide_resnet16_4_cifar": (2_748_890, 392_612_352),
    "wide_resnet16_8_cifar": (10_961_370, 1_548_145_664),
    "wide_resnet16_10_cifar": (17_116_634, 2_412_173_568),
    "wide_resnet40_10_cifar": (55_841_754, 8_074_483_968),
    "wide_resnet50_2": (68_883_240, 11_398_021_120),
    "wide_resnet101_2": (126_886_696, 22_753_050_624),
}
SHORT = {"wide_resnet16_8_cifar", "wide_resnet28_10_cifar", "wide_resnet50_2"}

TABLE_7 = {
    ("wide_resnet18", 1.0): (11_689_512, 1_814_073_344),
    ("wide_resnet18", 1.5): (25_875_816, 3_866_327_040),
    ("wide_resnet18", 2.0): (45_618_216, 6_695_706_624),
    ("wide_resnet18", 3.0): (101_783_976, 14_724_378_624),
    ("wide_resnet34", 1.0): (21_797_672, 3_663_761_408),
    ("wide_resnet34", 1.5): (48_613_608, 8_028_125_184),
    ("wide_resnet34", 2.0): (86_036_008, 14_094_458_880),
}

# Table 2, k = 2: what the printed parameters need in units a group, and what they then are
TABLE_2 = {
    (1, 3, 1): (6, 1_429_082),
    (3, 1): (6, 1_211_354),
    (1, 3): (6, 1_297_370),
    (3, 1, 1): (6, 1_343_066),
    (3, 3): (4, 1_467_610),
    (3, 1, 3): (3, 1_145_498),
}


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


@pytest.mark.parametrize("name", some(COUNTS, SHORT))
def test_parameters_and_multiply_adds_are_exact(name):
    model = build_meta(name)
    shape = find(name)[1].input_shape
    assert (params(model), macs(model, *shape)) == COUNTS[name]


@pytest.mark.parametrize(
    ("name", "width"),
    [pytest.param(*key, marks=[pytest.mark.slow] if "34" in key[0] else []) for key in TABLE_7],
)
def test_the_basic_imagenet_nets_cost_what_table_7_says(name, width):
    model = build_meta(name, width=width)
    assert (params(model), macs(model, 3, 224, 224)) == TABLE_7[name, width]


def test_width_1_is_resnet():
    for wide, name in (("wide_resnet18", "resnet18"), ("wide_resnet34", "resnet34")):
        shapes = [
            {key: value.shape for key, value in build_meta(net).state_dict().items()}
            for net in (wide, name)
        ]
        assert shapes[0] == shapes[1]


def test_parameters_with_100_classes():
    assert params(build_meta("wide_resnet28_10_cifar", num_classes=100)) == 36_536_884


@pytest.mark.parametrize("block", TABLE_2)
def test_block_types_have_the_parameters_of_table_2(block):
    units, expected = TABLE_2[block]
    model = build_meta("wide_resnet40_2_cifar", block=block, blocks_per_group=units)
    assert params(model) == expected


@pytest.mark.parametrize(("factor", "units"), [(1, 12), (2, 6), (3, 4), (4, 3)])
def test_the_deepening_factors_of_table_3_keep_the_convolutions(factor, units):
    model = build_meta("wide_resnet40_2_cifar", block=(3,) * factor, blocks_per_group=units)
    kernels = [conv.kernel_size[0] for conv in convolutions(model)]
    assert (kernels.count(3), kernels.count(1)) == (37, 3)
    assert round(params(model) / 1e6, 1) == 2.2


@pytest.mark.parametrize(
    ("name", "depth"), [("wide_resnet16_8_cifar", 16), ("wide_resnet28_10_cifar", 28)]
)
def test_the_depth_counts_projections_and_not_the_linear_layer(name, depth):
    assert len(convolutions(build_meta(name))) == depth


def test_maps_are_those_of_table_1():
    model = build_meta("wide_resnet28_10_cifar").eval()
    x = model.stem(torch.empty(1, 3, 32, 32, device="meta"))
    assert x.shape[1:] == (16, 32, 32)
    shapes = {"conv2": (160, 32, 32), "conv3": (320, 16, 16), "conv4": (640, 8, 8)}
    for name, group in model.stages.named_children():
        x = group(x)
        assert x.shape[1:] == shapes[name]
        assert len(group) == 4


def test_a_unit_projects_where_the_width_changes_and_there_alone():
    for k, projections in ((1, 2), (2, 3)):
        model = build_meta(f"wide_resnet16_{k}_cifar")
        units = [m for m in model.modules() if isinstance(m, ResidualUnit)]
        projecting = [unit for unit in units if isinstance(unit.shortcut, nn.Conv2d)]
        assert len(projecting) == projections
        assert [unit.shared for unit in units] == [unit in projecting for unit in units]
        assert all(unit.shortcut.kernel_size == (1, 1) for unit in projecting)
    assert all(conv.bias is None for conv in convolutions(model))


def plain_logits(x: Tensor, weights: dict[str, Tensor], units: int, block: tuple) -> Tensor:
    x = F.conv2d(x, weights["stem.conv1.weight"], padding=1)
    for group in (2, 3, 4):
        for i in range(units):
            name = f"stages.conv{group}.{i}"
            stride = 2 if group > 2 and i == 0 else 1
            activated = active(x, weights, f"{name}.before.norm")
            y = activated
            for at, kernel in enumerate(block, start=1):
                y = y if at == 1 else active(y, weights, f"{name}.branch.norm{at - 1}")
                weight = weights[f"{name}.branch.conv{at}.weight"]
                y = F.conv2d(y, weight, None, stride if at == 1 else 1, kernel // 2)
            projection = weights.get(f"{name}.shortcut.weight")
            x = x if projection is None else F.conv2d(activated, projection, None, stride)
            x = x + y
    x = active(x, weights, "final.norm").mean((2, 3))
    return F.linear(x, weights["head.fc.weight"], weights["head.fc.bias"])


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("block", [(3, 3), (3, 1, 3), (1, 3)])
def test_it_computes_what_plain_functions_compute(k, block):
    torch.manual_seed(0)
    model = build(f"wide_resnet16_{k}_cifar", num_classes=5, block=block).eval()
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -0.2, 0.2)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.2, 0.2)
    image = torch.randn(2, 3, 12, 8)
    with torch.inference_mode():
        expected = plain_logits(image, model.state_dict(), 2, block)
        torch.testing.assert_close(model(image), expected, rtol=1e-4, atol=1e-4)


def test_width_1_has_the_parameters_of_a_pre_activation_net_with_projections():
    """WRN-40-1 is the pre-activation ResNet-38: the paper counts two projections as layers."""
    preact = build_meta("preact_resnet110_cifar", blocks=(6, 6, 6), shortcut="B")
    assert params(preact) == COUNTS["wide_resnet40_1_cifar"][0]


def test_dropout_stands_between_the_convolutions_and_nowhere_else():
    model = build_meta("wide_resnet16_4_cifar", block=(3, 1, 3), dropout=0.3)
    drops = [name for name, m in model.named_modules() if isinstance(m, nn.Dropout)]
    assert len(drops) == 6 * 2
    for unit in (m for m in model.modules() if isinstance(m, ResidualUnit)):
        names = [name for name, _ in unit.branch.named_children()]
        between = [["norm1", "act1", "drop1"], ["norm2", "act2", "drop2"]]
        assert names == ["conv1", *between[0], "conv2", *between[1], "conv3"]
        assert {m.p for m in unit.branch if isinstance(m, nn.Dropout)} == {0.3}
    assert not any(isinstance(m, nn.Dropout) for m in build_meta("wide_resnet16_4_cifar").modules())


def test_dropout_leaves_the_identity_path_alone():
    torch.manual_seed(0)
    unit = build("wide_resnet16_1_cifar", dropout=0.4).stages.conv2[1].train()
    nn.init.zeros_(unit.branch.conv2.weight)
    x = torch.randn(4, 16, 8, 8)
    dropped = []
    unit.branch.conv2.register_forward_pre_hook(lambda *at: dropped.append(at[1][0]))
    assert torch.equal(unit(x), x)
    zeros = (dropped[0] == 0).float().mean().item()
    assert zeros == pytest.approx(1 - 0.6 * 0.5, abs=0.05)  # and half of them by the ReLU


def test_50_2_widens_the_inner_convolutions_alone():
    wide, narrow = build_meta("wide_resnet50_2"), build_meta("resnet50_v1_5")
    shapes = {key: value.shape for key, value in narrow.state_dict().items()}
    assert list(wide.state_dict()) == list(shapes)
    for key, value in wide.state_dict().items():
        inner = key.startswith("stages.") and re.search(r"\.(reduce|conv)\.conv\.weight", key)
        if inner:
            assert value.shape[0] == 2 * shapes[key][0]
        elif "stem" in key or "head" in key or "shortcut" in key:
            assert value.shape == shapes[key]
    outputs = [stage[-1].restore.conv.out_channels for stage in wide.stages]
    assert outputs == [256, 512, 1024, 2048]


def test_the_basic_imagenet_nets_keep_their_stem():
    model = build_meta("wide_resnet18", width=1.5)
    assert model.stem.conv1.conv.out_channels == 64
    assert [stage[0].conv1.conv.out_channels for stage in model.stages] == [96, 192, 384, 768]


def test_weights_are_drawn_by_fan_in():
    torch.manual_seed(0)
    model = build("wide_resnet16_2_cifar")
    for conv in convolutions(model):
        expected = math.sqrt(2 / (conv.kernel_size[0] ** 2 * conv.in_channels))
        error = 4 / math.sqrt(2 * conv.weight.numel())  # four standard errors
        assert conv.weight.std().item() == pytest.approx(expected, rel=error)
    assert not model.head.fc.bias.any()


@given(st.integers(0, 9999), st.integers(0, 999))
def test_cifar_names_are_those_of_depth_6n_plus_4(depth, k):
    variant = parse(f"wide_resnet{depth}_{k}_cifar")
    if depth >= 10 and depth % 6 == 4 and k >= 1:
        assert variant.spec.blocks_per_group == (depth - 4) // 6
        assert variant.spec.widen_factor == k
    else:
        assert variant is None


@pytest.mark.parametrize(
    "name",
    ["wide_resnet028_10_cifar", "wide_resnet28_cifar", "wide_resnet50", "wide_resnet50_3", "wrn"],
)
def test_other_names_are_not_read(name):
    assert parse(name) is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"widen_factor": 0}, "widen_factor must be at least 1, not 0"),
        ({"widen_factor": 1.5}, "widen_factor takes a whole number, such as 10; got 1.5"),
        ({"blocks_per_group": 0}, "blocks_per_group must be at least 1, not 0"),
        ({"block": (3, 5)}, "block takes kernel sizes 1 and 3, such as (3, 3), not (3, 5)"),
        ({"block": ()}, "block takes kernel sizes 1 and 3"),
        ({"dropout": 1.0}, "dropout must be at least 0 and less than 1, not 1.0"),
    ],
)
def test_specs_of_no_network_are_refused(overrides, message):
    with pytest.raises(InputError, match=re.escape(message)):
        build_meta("wide_resnet28_10_cifar", **overrides)


def test_a_net_without_width_is_refused():
    with pytest.raises(InputError, match="width must be at least 1/64, not 0"):
        build_meta("wide_resnet18", width=0)
