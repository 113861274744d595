"""ResNet: what only this paper says of its networks (He et al. 2015)."""

import gzip
import math
import re
from pathlib import Path

import numpy as np
import plain
import pytest
import torch
from counting import macs, params
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.architectures.resnet import BasicBlock, Bottleneck, ZeroPadShortcut, parse
from convatlas.catalog import build, build_meta, find, variants
from convatlas.errors import InputError
from convatlas.weights.convert import convert

# (name, shortcut option): parameters and multiply-adds of independent builds; the paper prints
# 1.8, 3.6, 3.8, 7.6 and 11.3 billion (Table 1), 0.27M ... 19.4M (Table 6)
COUNTS = {
    ("resnet18", "A"): (11_515_688, 1_794_805_760),
    ("resnet18", "B"): (11_689_512, 1_814_073_344),
    ("resnet18", "C"): (12_043_816, 1_878_298_624),
    ("plain18", None): (11_515_688, 1_794_805_760),
    ("resnet34", "A"): (21_623_848, 3_644_493_824),
    ("resnet34", "B"): (21_797_672, 3_663_761_408),
    ("resnet34", "C"): (22_716_840, 3_830_747_136),
    ("plain34", None): (21_623_848, 3_644_493_824),
    ("resnet50", "B"): (25_557_032, 3_857_973_248),
    ("resnet101", "B"): (44_549_160, 7_570_194_432),
    ("resnet152", "B"): (60_192_808, 11_282_415_616),
    ("resnet50_v1_5", "B"): (25_557_032, 4_089_184_256),
    ("resnet101_v1_5", "B"): (44_549_160, 7_801_405_440),
    ("resnet152_v1_5", "B"): (60_192_808, 11_513_626_624),
    ("resnet20_cifar", "A"): (269_722, 40_551_040),
    ("resnet20_cifar", "B"): (272_474, 40_813_184),
    ("resnet32_cifar", "A"): (464_154, 68_862_592),
    ("resnet32_cifar", "B"): (466_906, 69_124_736),
    ("resnet44_cifar", "A"): (658_586, 97_174_144),
    ("resnet44_cifar", "B"): (661_338, 97_436_288),
    ("resnet56_cifar", "A"): (853_018, 125_485_696),
    ("resnet56_cifar", "B"): (855_770, 125_747_840),
    ("resnet110_cifar", "A"): (1_727_962, 252_887_680),
    ("resnet110_cifar", "B"): (1_730_714, 253_149_824),
    ("resnet1202_cifar", "A"): (19_421_274, 2_829_238_912),
    ("resnet1202_cifar", "B"): (19_424_026, 2_829_501_056),
    ("plain20_cifar", None): (269_722, 40_551_040),
    ("plain32_cifar", None): (464_154, 68_862_592),
    ("plain44_cifar", None): (658_586, 97_174_144),
    ("plain56_cifar", None): (853_018, 125_485_696),
    ("plain110_cifar", None): (1_727_962, 252_887_680),
}

# conv1, conv2_x ... conv5_x, fc
STAGE_PARAMS = {
    "resnet18": [9_536, 147_968, 525_568, 2_099_712, 8_393_728, 513_000],
    "resnet34": [9_536, 221_952, 1_116_416, 6_822_400, 13_114_368, 513_000],
    "resnet50": [9_536, 215_808, 1_219_584, 7_098_368, 14_964_736, 2_049_000],
}

RESNETS = [name for name in variants() if find(name)[0].name == "resnet"]


def long_if_deep(name: str, shortcut: str | None) -> object:
    marks = [pytest.mark.slow] if name == "resnet1202_cifar" else []
    return pytest.param(name, shortcut, marks=marks, id=f"{name}-{shortcut}")


@pytest.mark.parametrize(("name", "shortcut"), [long_if_deep(*key) for key in COUNTS])
def test_parameters_and_multiply_adds_are_exact(name, shortcut):
    model = build_meta(name, shortcut=shortcut)
    shape = find(name)[1].input_shape
    assert (params(model), macs(model, *shape)) == COUNTS[name, shortcut]


def test_every_listed_network_is_counted():
    assert {name for name, _ in COUNTS} >= set(RESNETS)


def test_the_page_of_the_docs_prints_these_counts():
    page = Path(__file__).parents[2] / "docs" / "architectures" / "resnet.md"
    rows = {line.split("`")[1]: line for line in page.read_text().splitlines() if "| `" in line}
    named = {name for name in RESNETS if "_cifar" not in name or "plain" not in name}
    assert named <= set(rows)
    for name in named:
        counts = COUNTS[name, find(name)[1].spec.shortcut]
        assert all(f"| {count:,} |" in rows[name] for count in counts)
    for option in "ABC":
        row = rows[f'"{option}"']
        assert all(f"| {COUNTS[name, option][0]:,} |" in row for name in ("resnet18", "resnet34"))


@pytest.mark.parametrize("name", STAGE_PARAMS)
def test_each_stage_has_the_parameters_of_table_1(name):
    model = build_meta(name)
    parts = [model.stem, *model.stages, model.head]
    assert [params(part) for part in parts] == STAGE_PARAMS[name]


@pytest.mark.parametrize("name", RESNETS)
def test_the_name_counts_the_weight_layers(name):
    layers = [
        layer
        for layer, module in build_meta(name).named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and ".shortcut" not in layer
    ]
    assert len(layers) == int(re.search(r"\d+", name)[0])


def test_maps_are_halved_from_stage_to_stage_by_the_first_block_alone():
    sizes = {}
    model = build_meta("resnet50").eval()
    for name, module in model.named_modules():
        module.register_forward_hook(lambda *at, name=name: sizes.update({name: at[2].shape[1:]}))
    model(torch.empty(1, 3, 224, 224, device="meta"))
    assert sizes["stem.conv1"] == (64, 112, 112)
    assert sizes["stem"] == (64, 56, 56)
    stages = {stage: sizes[f"stages.{stage}"] for stage, _ in model.stages.named_children()}
    assert stages == {
        "conv2_x": (256, 56, 56),
        "conv3_x": (512, 28, 28),
        "conv4_x": (1024, 14, 14),
        "conv5_x": (2048, 7, 7),
    }
    for stage, shape in stages.items():
        assert sizes[f"stages.{stage}.0"] == shape
    assert model.cam_layer == "stages.conv5_x"


@pytest.mark.parametrize(
    ("stage", "shape"), [(1, (16, 32, 32)), (2, (32, 16, 16)), (3, (64, 8, 8))]
)
def test_cifar_nets_end_with_maps_of_8x8(stage, shape):
    model = build_meta("resnet20_cifar").eval()
    x = model.stem(torch.empty(1, 3, 32, 32, device="meta"))
    for module in list(model.stages)[:stage]:
        x = module(x)
    assert x.shape[1:] == shape


def test_the_stride_on_the_3x3_costs_multiply_adds_and_no_parameter():
    v1, v1_5 = build_meta("resnet50"), build_meta("resnet50_v1_5")
    assert macs(v1_5, 3, 224, 224) - macs(v1, 3, 224, 224) == 231_211_008
    shapes = [{k: v.shape for k, v in model.state_dict().items()} for model in (v1, v1_5)]
    assert shapes[0] == shapes[1]  # which is why nothing but the name tells the weights apart


@pytest.mark.parametrize(
    ("name", "strides"), [("resnet50", [(2, 2), (1, 1)]), ("resnet50_v1_5", [(1, 1), (2, 2)])]
)
def test_where_a_bottleneck_has_its_stride(name, strides):
    stages = build_meta(name).stages
    first = stages.conv3_x[0]
    assert [first.reduce.conv.stride, first.conv.conv.stride] == strides
    assert first.restore.conv.stride == (1, 1)
    assert first.shortcut.conv.stride == (2, 2)
    others = [conv for block in stages.conv2_x for conv in convolutions(block)]
    assert {conv.stride for conv in others} == {(1, 1)}  # the pooling did it


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


def test_basic_blocks_of_conv2_x_need_no_projection_and_bottlenecks_do():
    assert isinstance(build_meta("resnet18").stages.conv2_x[0].shortcut, nn.Identity)
    projection = build_meta("resnet50").stages.conv2_x[0].shortcut.conv
    assert (projection.in_channels, projection.out_channels) == (64, 256)


@pytest.mark.parametrize("name", ["resnet34", "resnet20_cifar"])
def test_option_a_adds_no_parameter_to_the_plain_net(name):
    plain = build_meta(name.replace("resnet", "plain")).state_dict()
    ours = build_meta(name, shortcut="A").state_dict()
    assert list(ours) == list(plain)
    assert not any("shortcut" in key for key in ours)


def test_option_b_of_the_cifar_nets_adds_two_projections():
    added = [params(build_meta("resnet56_cifar", shortcut=option)) for option in "AB"]
    assert added[1] - added[0] == 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64 == 2_752


def test_option_c_projects_in_every_block():
    assert params(build_meta("resnet20_cifar", shortcut="C")) == 283_962


@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.integers(1, 5),
    added=st.integers(0, 5),
    stride=st.integers(1, 3),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
)
def test_option_a_takes_every_strideth_pixel_and_appends_zeros(
    seed, channels, added, stride, height, width
):
    x = torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(seed))
    y = ZeroPadShortcut(channels, channels + added, stride)(x)
    rows, columns = range(0, height, stride), range(0, width, stride)
    assert y.shape == (2, channels + added, len(rows), len(columns))
    for c in range(channels + added):
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                expected = x[:, c, row, column] if c < channels else torch.zeros(2)
                assert torch.equal(y[:, c, i, j], expected)


def test_option_a_refuses_to_drop_channels():
    with pytest.raises(InputError, match="64 channels into 32"):
        build("resnet20_cifar", widths=(64, 32, 16))


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
@pytest.mark.parametrize(("out_channels", "stride"), [(8, 1), (16, 2)])
def test_a_block_whose_last_norm_is_zero_is_its_shortcut(block, shortcut, out_channels, stride):
    torch.manual_seed(0)
    module = block(8, 4, out_channels, stride, shortcut).eval()
    last = module.conv2 if block is BasicBlock else module.restore
    nn.init.zeros_(last.norm.weight)
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(module(x), module.shortcut(x).relu())


def test_a_plain_block_has_no_shortcut():
    torch.manual_seed(0)
    module = BasicBlock(8, 8, 8, 1, None).eval()
    nn.init.zeros_(module.conv2.norm.weight)
    assert not module(torch.randn(2, 8, 6, 6)).any()


@pytest.mark.parametrize("name", ["resnet18", "resnet20_cifar"])
def test_weights_are_drawn_as_he_et_al_say(name):
    torch.manual_seed(0)
    model = build(name)
    for conv in convolutions(model):
        expected = math.sqrt(2 / (conv.kernel_size[0] ** 2 * conv.out_channels))
        error = 4 / math.sqrt(2 * conv.weight.numel())  # four standard errors
        assert conv.weight.std().item() == pytest.approx(expected, rel=error)
        assert abs(conv.weight.mean()) < 4 * expected / math.sqrt(conv.weight.numel())
        assert conv.bias is None
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        assert (norm.weight == 1).all()  # also of the last norm of a block
        assert not norm.bias.any()
    assert not model.head.fc.bias.any()


def test_reset_parameters_draws_again_and_forgets_the_statistics():
    torch.manual_seed(0)
    model = build("resnet20_cifar")
    drawn = {key: value.clone() for key, value in model.state_dict().items()}
    model(torch.randn(4, 3, 32, 32))
    torch.manual_seed(0)
    model.reset_parameters()
    assert all(torch.equal(value, drawn[key]) for key, value in model.state_dict().items())
    model.reset_parameters()
    assert not torch.equal(model.stem.conv1.conv.weight, drawn["stem.conv1.conv.weight"])


def conv_norm(x: Tensor, weights: dict[str, Tensor], name: str, stride: int) -> Tensor:
    return plain.normed(plain.conv(x, weights, f"{name}.conv", stride), weights, f"{name}.norm")


def bottleneck(x: Tensor, weights: dict[str, Tensor], name: str, strides: list[int]) -> Tensor:
    y = conv_norm(x, weights, f"{name}.reduce", strides[0]).clamp(min=0)
    y = conv_norm(y, weights, f"{name}.conv", strides[1]).clamp(min=0)
    y = conv_norm(y, weights, f"{name}.restore", 1)
    if f"{name}.shortcut.conv.weight" in weights:
        x = conv_norm(x, weights, f"{name}.shortcut", max(strides))
    return (x + y).clamp(min=0)


@pytest.mark.parametrize(("name", "strides"), [("resnet50", [2, 1]), ("resnet50_v1_5", [1, 2])])
def test_resnet50_computes_what_plain_functions_compute(name, strides):
    torch.manual_seed(0)
    model = build(name, num_classes=7).eval()
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -0.1, 0.1)
        nn.init.uniform_(norm.running_var, 0.8, 1.2)
        nn.init.uniform_(norm.weight, 0.2, 0.6)
        nn.init.uniform_(norm.bias, -0.1, 0.1)
    weights, image = model.state_dict(), torch.randn(2, 3, 64, 48)
    x = conv_norm(image, weights, "stem.conv1", 2).clamp(min=0)
    x = F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-math.inf), 3, 2)
    for stage, blocks in (("conv2_x", 3), ("conv3_x", 4), ("conv4_x", 6), ("conv5_x", 3)):
        for i in range(blocks):
            at = strides if i == 0 and stage != "conv2_x" else [1, 1]
            x = bottleneck(x, weights, f"stages.{stage}.{i}", at)
    expected = x.mean((2, 3)) @ weights["head.fc.weight"].T + weights["head.fc.bias"]
    with torch.inference_mode():
        torch.testing.assert_close(model(image), expected, rtol=1e-4, atol=1e-4)


def published_logits(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """The forward pass of its authors: half of the zero channels in front of the real ones."""

    def normed(x: Tensor, name: str) -> Tensor:
        values = [weights[f"{name}.{key}"] for key in ("running_mean", "running_var")]
        return F.batch_norm(x, *values, weights[f"{name}.weight"], weights[f"{name}.bias"])

    x = normed(F.conv2d(x, weights["conv1.weight"], padding=1), "bn1").relu()
    for name in (f"layer{stage}.{i}" for stage in (1, 2, 3) for i in range(3)):
        first, second = weights[f"{name}.conv1.weight"], weights[f"{name}.conv2.weight"]
        added = len(first) - x.shape[1]
        y = normed(F.conv2d(x, first, stride=2 if added else 1, padding=1), f"{name}.bn1").relu()
        y = normed(F.conv2d(y, second, padding=1), f"{name}.bn2")
        if added:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, added // 2, added // 2))
        x = (x + y).relu()
    return F.linear(x.mean((2, 3)), weights["linear.weight"], weights["linear.bias"])


@pytest.fixture(scope="module")
def published(data_root) -> dict[str, Tensor]:
    arrays = np.load(data_root / "weights" / "resnet-cifar10" / "resnet20-12fca82f.npz")
    return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.fixture(scope="module")
def cifar(data_root) -> tuple[Tensor, Tensor]:
    path = data_root / "cifar10-train4000" / "data_batch_first4000.bin.gz"
    rows = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8).reshape(-1, 3073)
    images = torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32) / np.float32(255))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    images = (images - mean[:, None, None]) / std[:, None, None]
    return images, torch.from_numpy(rows[:, 0].astype(np.int64))


@pytest.fixture(scope="module")
def trained(published) -> nn.Module:
    model = build("resnet20_cifar")
    model.load_state_dict(convert(published, "resnet20_cifar", "akamaster"))
    return model.eval()


def test_published_weights_give_their_own_logits(trained, published, cifar):
    images, labels = cifar[0][:256], cifar[1][:256]
    with torch.inference_mode():
        logits = trained(images)
        torch.testing.assert_close(logits, published_logits(published, images))
    assert (logits.argmax(1) == labels).float().mean() > 0.99


@pytest.mark.slow
def test_published_weights_know_the_images_they_were_trained_on(trained, cifar):
    images, labels = cifar
    with torch.inference_mode():
        right = sum(
            int((trained(x).argmax(1) == y).sum())
            for x, y in zip(images.split(500), labels.split(500), strict=True)
        )
    assert right / len(labels) == pytest.approx(0.998, abs=0.001)


@given(st.integers(0, 9999))
def test_cifar_names_are_those_of_depth_6n_plus_2(depth):
    variant = parse(f"resnet{depth}_cifar")
    if depth >= 8 and depth % 6 == 2:
        assert variant.spec.blocks == ((depth - 2) // 6,) * 3
        assert variant.spec.shortcut == "A"
        assert parse(f"plain{depth}_cifar").spec.shortcut is None
    else:
        assert variant is None


@pytest.mark.parametrize("name", ["resnet020_cifar", "resnet20_cifar ", "resnet-4_cifar", "resnet"])
def test_other_names_are_not_read(name):
    assert parse(name) is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"shortcut": "D"}, "shortcut takes 'A', 'B', 'C' or None; got 'D'"),
        ({"stem": "mnist"}, "stem takes 'imagenet' or 'cifar'; got 'mnist'"),
        ({"blocks": (2, 2)}, "one number of at least 1 for each stage"),
        ({"blocks": (2, 2, 0, 2)}, "one number of at least 1 for each stage"),
    ],
)
def test_specs_of_no_network_are_refused(overrides, message):
    with pytest.raises(InputError, match=re.escape(message)):
        build_meta("resnet18", **overrides)
