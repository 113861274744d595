"""ResNeXt: what only this paper says of its networks (Xie et al. 2016)."""

import re

import pytest
import torch
from counting import macs, params, some
from hypothesis import given
from hypothesis import strategies as st
from plain import randomize_norms
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.architectures.resnet import Bottleneck
from convatlas.architectures.resnext import PathsBottleneck, make_block, parse
from convatlas.catalog import build, build_meta, find
from convatlas.errors import InputError

# parameters and multiply-adds of independent builds: Tables 1, 3, 4 and 7, Figure 7
COUNTS = {
    "resnext50_1x64d": (25_557_032, 4_089_184_256),
    "resnext50_2x40d": (25_425_000, 4_124_508_160),
    "resnext50_4x24d": (25_292_968, 4_159_832_064),
    "resnext50_8x14d": (25_603_016, 4_267_409_408),
    "resnext50_32x4d": (25_028_904, 4_230_479_872),
    "resnext101_2x40d": (44_456_296, 7_843_553_280),
    "resnext101_4x24d": (44_363_432, 7_885_701_120),
    "resnext101_8x14d": (45_104_328, 8_076_871_680),
    "resnext101_32x4d": (44_177_704, 7_969_996_800),
    "resnext101_1x100d": (85_611_336, 15_272_862_720),
    "resnext101_2x64d": (84_198_184, 15_123_087_360),
    "resnext101_64x4d": (83_455_272, 15_460_270_080),
    "resnext101_32x8d": (88_791_336, 16_414_015_488),
    "resnext29_1x64d_cifar": (4_914_250, 748_365_824),
    "resnext29_2x64d_cifar": (9_130_314, 1_411_065_856),
    "resnext29_4x64d_cifar": (17_562_442, 2_736_465_920),
    "resnext29_8x64d_cifar": (34_426_698, 5_387_266_048),
    "resnext29_16x64d_cifar": (68_155_210, 10_688_866_304),
    "resnext29_1x128d_cifar": (13_775_178, 2_090_543_104),
    "resnext29_1x192d_cifar": (27_280_970, 4_112_197_632),
    "resnext29_1x256d_cifar": (45_431_626, 6_813_329_408),
    "resnext29_32x4d_cifar": (4_775_754, 774_055_936),
}
SHORT = {"resnext50_32x4d", "resnext50_2x40d", "resnext29_8x64d_cifar"}

TABLE_2 = {(1, 64): 64, (2, 40): 80, (4, 24): 96, (8, 14): 112, (32, 4): 128}


@pytest.mark.parametrize("name", some(COUNTS, SHORT))
def test_parameters_and_multiply_adds_are_exact(name):
    model = build_meta(name)
    shape = find(name)[1].input_shape
    assert (params(model), macs(model, *shape)) == COUNTS[name]


def test_each_stage_of_32x4d_has_its_parameters():
    model = build_meta("resnext50_32x4d")
    parts = [model.stem, *model.stages, model.head]
    assert [params(part) for part in parts] == [
        9_536,
        205_824,
        1_197_056,
        7_022_592,
        14_544_896,
        2_049_000,
    ]


@pytest.mark.parametrize("name", ["resnext50_32x4d", "resnext101_64x4d", "resnext29_8x64d_cifar"])
def test_the_name_counts_the_weight_layers(name):
    layers = [
        layer
        for layer, module in build_meta(name).named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and ".shortcut" not in layer
    ]
    assert len(layers) == int(re.search(r"\d+", name)[0])


@pytest.mark.parametrize(("cardinality", "width"), TABLE_2)
def test_the_templates_of_table_2_have_their_widths(cardinality, width):
    model = build_meta(f"resnext50_{cardinality}x{width}d")
    for i, stage in enumerate(model.stages):
        for block in stage:
            assert block.conv.conv.groups == cardinality
            assert block.conv.conv.out_channels == TABLE_2[cardinality, width] * 2**i
            assert block.restore.conv.out_channels == 256 * 2**i


@pytest.mark.parametrize(("cardinality", "width"), TABLE_2)
def test_the_templates_of_table_2_cost_about_as_much(cardinality, width):
    """Equation 4: C (256 d + 3 3 d d + d 256) weights a block, about 70 thousand."""
    block = build_meta(f"resnext50_{cardinality}x{width}d").stages.conv2_x[1]
    weights = sum(m.weight.numel() for m in block.modules() if isinstance(m, nn.Conv2d))
    assert weights == cardinality * (256 * width + 9 * width**2 + width * 256)
    assert weights == pytest.approx(70_000, rel=0.03)


def test_the_stride_is_on_the_3x3_in_every_stage():
    for i, stage in enumerate(build_meta("resnext50_32x4d").stages):
        stride = (1, 1) if i == 0 else (2, 2)
        assert stage[0].conv.conv.stride == stage[0].shortcut.conv.stride == stride
        assert stage[0].reduce.conv.stride == stage[0].restore.conv.stride == (1, 1)


def test_cifar_nets_are_those_of_section_5_3():
    model = build_meta("resnext29_8x64d_cifar").eval()
    x = model.stem(torch.empty(1, 3, 32, 32, device="meta"))
    assert x.shape[1:] == (64, 32, 32)
    shapes = [(256, 32, 32), (512, 16, 16), (1024, 8, 8)]
    for stage, shape, inner in zip(model.stages, shapes, (512, 1024, 2048), strict=True):
        x = stage(x)
        assert x.shape[1:] == shape
        assert {block.conv.conv.out_channels for block in stage} == {inner}


def test_one_path_of_64_channels_is_resnet_v1_5():
    torch.manual_seed(0)
    resnet = build("resnet50_v1_5", num_classes=5, blocks=(1, 1, 1, 1)).eval()
    randomize_norms(resnet)
    ours = build("resnext50_1x64d", num_classes=5, blocks=(1, 1, 1, 1)).eval()
    ours.load_state_dict(resnet.state_dict())
    image = torch.randn(2, 3, 40, 40)
    assert torch.equal(ours(image), resnet(image))


def split_weights(block: Bottleneck, cardinality: int, form: str) -> dict[str, Tensor]:
    """Cut the state of a grouped block into that of its paths, by the slices of Figure 3."""
    state = block.state_dict()
    width = block.conv.conv.out_channels // cardinality
    found = {k: v for k, v in state.items() if k.startswith("shortcut")}
    for i in range(cardinality):
        own = slice(i * width, (i + 1) * width)
        for key, value in state.items():
            layer, _, rest = key.partition(".")
            if layer in ("reduce", "conv"):
                found[f"paths.{i}.{key}"] = value[own] if value.dim() else value
            elif key == "restore.conv.weight" and form == "A":
                found[f"paths.{i}.restore.weight"] = value[:, own]
            elif layer == "restore" and form == "A":
                found[f"restore.{rest.removeprefix('norm.')}"] = value
            elif layer == "restore":
                found[key] = value
    return found


@pytest.mark.parametrize("form", ["A", "B"])
@pytest.mark.parametrize(("in_channels", "stride"), [(32, 1), (16, 2)])
@pytest.mark.parametrize("training", [False, True])
def test_the_three_forms_of_figure_3_are_one_function(form, in_channels, stride, training):
    torch.manual_seed(0)
    arguments = (in_channels, 16, 32, stride, "B")
    grouped = make_block(*arguments, cardinality=4, path_width=12, form="C").train(training)
    randomize_norms(grouped)
    paths = make_block(*arguments, cardinality=4, path_width=12, form=form).train(training)
    assert isinstance(grouped, Bottleneck)
    assert isinstance(paths, PathsBottleneck)
    assert params(paths) == params(grouped)
    paths.load_state_dict(split_weights(grouped, 4, form))
    x = torch.randn(3, in_channels, 6, 5)
    torch.testing.assert_close(paths(x), grouped(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ["A", "B"])
def test_a_whole_network_can_be_drawn_with_paths(form):
    model = build_meta("resnext29_8x64d_cifar", form=form)
    assert params(model) == COUNTS["resnext29_8x64d_cifar"][0]
    assert model(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 10)
    assert len(model.stages.stage1[0].paths) == 8


def test_a_grouped_block_computes_what_plain_functions_compute():
    torch.manual_seed(0)
    block = build("resnext50_2x40d", blocks=(1, 1, 1, 1)).stages.conv3_x[0].eval()
    randomize_norms(block)
    weights, x = block.state_dict(), torch.randn(2, 256, 6, 6)

    def step(x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        kernel = weights[f"{name}.conv.weight"]
        parts = [
            F.conv2d(part, weight, None, stride, kernel.shape[-1] // 2)
            for part, weight in zip(x.chunk(groups, 1), kernel.chunk(groups), strict=True)
        ]
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(torch.cat(parts, 1), *[weights[f"{name}.norm.{key}"] for key in keys])

    y = step(step(x, "reduce").relu(), "conv", 2, groups=2).relu()
    expected = (step(y, "restore") + step(x, "shortcut", 2)).relu()
    with torch.inference_mode():
        torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-4)


def test_residual_connections_can_be_taken_away():
    """Section 5.1 trains without them: 26.1 % instead of 22.2 %."""
    model = build_meta("resnext50_32x4d", shortcut=None)
    assert not [name for name, _ in model.named_parameters() if "shortcut" in name]
    outputs = [(64, 256), (256, 512), (512, 1024), (1024, 2048)]
    projections = sum(entering * leaving + 2 * leaving for entering, leaving in outputs)
    assert params(model) == 25_028_904 - projections


@given(st.integers(0, 99999), st.integers(0, 99999), st.sampled_from([29, 50, 101, 152]))
def test_names_are_read_by_their_template(cardinality, width, depth):
    ending = "_cifar" if depth == 29 else ""
    variant = parse(f"resnext{depth}_{cardinality}x{width}d{ending}")
    if depth != 152 and 1 <= cardinality <= 9999 and 1 <= width <= 9999:
        assert (variant.spec.cardinality, variant.spec.width) == (cardinality, width)
        assert sum(variant.spec.blocks) * 3 + 2 == depth
    else:
        assert variant is None


def test_one_path_has_the_name_of_a_resnet_too():
    assert find("resnet101_1x100d")[1] == find("resnext101_1x100d")[1]
    assert parse("resnet101_2x64d") is None


@pytest.mark.parametrize(
    "name", ["resnext50_32x4", "resnext50_032x4d", "resnext29_8x64d", "resnext50_32x4d_cifar"]
)
def test_other_names_are_not_read(name):
    assert parse(name) is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"cardinality": 0}, "cardinality must be at least 1, not 0"),
        ({"width": 4.0}, "width takes a whole number, such as 4; got 4.0"),
        ({"form": "D"}, "form takes 'A', 'B' or 'C'; got 'D'"),
        ({"shortcut": "D"}, "shortcut takes 'A', 'B', 'C' or None; got 'D'"),
        ({"blocks": (3, 0)}, "one number of at least 1 for each stage"),
    ],
)
def test_specs_of_no_network_are_refused(overrides, message):
    with pytest.raises(InputError, match=re.escape(message)):
        build_meta("resnext50_32x4d", **overrides)
