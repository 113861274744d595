"""Pre-activation ResNet: what only this paper says of its networks (He et al. 2016)."""

import math
import re

import pytest
import torch
from counting import macs, params, some
from plain import conv, normed, randomize_norms
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.architectures.preact_resnet import (
    FIGURE_2,
    FIGURE_4,
    ConstantScaling,
    Gating,
    PreActResNetSpec,
    ResidualUnit,
    make_unit,
)
from convatlas.architectures.resnet import Bottleneck, ResNet, ResNetSpec
from convatlas.catalog import build, build_meta, find, variants
from convatlas.errors import InputError

# parameters and multiply-adds of independent builds; the paper prints 1.7M and 10.2M (Table 4),
# the latter without batch norm
COUNTS = {
    "preact_resnet50": (25_549_352, 4_089_184_256),
    "preact_resnet101": (44_541_480, 7_801_405_440),
    "preact_resnet152": (60_185_128, 11_513_626_624),
    "preact_resnet200": (64_666_152, 15_007_481_856),
    "preact_resnet110_cifar": (1_727_962, 252_887_680),
    "preact_resnet164_cifar": (1_703_258, 244_500_992),
    "preact_resnet1001_cifar": (10_327_706, 1_487_849_984),
}
SHORT = {"preact_resnet50", "preact_resnet164_cifar"}

PREACT = [name for name in variants() if find(name)[0].name == "preact_resnet"]


@pytest.mark.parametrize("name", some(COUNTS, SHORT))
def test_parameters_and_multiply_adds_are_exact(name):
    model = build_meta(name)
    shape = find(name)[1].input_shape
    assert (params(model), macs(model, *shape)) == COUNTS[name]


def test_every_listed_network_is_counted():
    assert set(COUNTS) == set(PREACT)


@pytest.mark.slow
def test_1001_layers_have_the_printed_number_of_parameters_without_batch_norm():
    model = build_meta("preact_resnet1001_cifar")
    norms = sum(params(m) for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    assert params(model) - norms == 10_178_490


def test_parameters_with_100_classes():
    assert params(build_meta("preact_resnet164_cifar", num_classes=100)) == 1_726_388


@pytest.mark.slow
def test_200_basic_units_a_stage_make_the_1202_layers():
    assert params(build_meta("preact_resnet110_cifar", blocks=(200, 200, 200))) == 19_421_274


@pytest.mark.parametrize("name", some(PREACT, SHORT))
def test_the_name_counts_the_weight_layers(name):
    layers = [
        layer
        for layer, module in build_meta(name).named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and ".shortcut" not in layer
    ]
    assert len(layers) == int(re.search(r"\d+", name)[0])


def test_110_layers_of_units_with_one_convolution():
    """The "1-layer" rows of Table 3."""
    model = build_meta("preact_resnet110_cifar", kernels=(3,), blocks=(36, 36, 36))
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) + 1 == 110


def plain_logits(model: nn.Module, x: Tensor, kernels: int, stride_at: int) -> Tensor:
    """The network of Figure 4(e) in functions, read from the names of its weights."""
    weights = model.state_dict()
    imagenet = "stem.conv1.conv.weight" in weights
    if imagenet:
        x = normed(conv(x, weights, "stem.conv1.conv", 2), weights, "stem.conv1.norm").relu()
        x = F.max_pool2d(x, 3, 2, 1)
    else:
        x = conv(x, weights, "stem.conv1")
    units = [name for name, m in model.named_modules() if isinstance(m, ResidualUnit)]
    for i, name in enumerate(units):
        stride = 2 if name.endswith(".0") and i > 0 else 1
        activated = x if i == 0 and imagenet else normed(x, weights, f"{name}.before.norm").relu()
        shares = name.endswith(".0")
        y = activated
        for at in range(1, kernels + 1):
            y = conv(y, weights, f"{name}.branch.conv{at}", stride if at == stride_at else 1)
            if at < kernels:
                y = normed(y, weights, f"{name}.branch.norm{at}").relu()
        x = activated if shares else x
        if f"{name}.shortcut.weight" in weights:
            x = conv(x, weights, f"{name}.shortcut", stride)
        elif stride == 2:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
        x = x + y
    x = normed(x, weights, "final.norm").relu().mean((2, 3))
    return x @ weights["head.fc.weight"].T + weights["head.fc.bias"]


@pytest.mark.parametrize(
    ("name", "kernels", "stride_at", "size"),
    [
        ("preact_resnet110_cifar", 2, 1, 12),
        ("preact_resnet164_cifar", 3, 1, 12),
        ("preact_resnet50", 3, 2, 40),
    ],
)
def test_it_computes_what_plain_functions_compute(name, kernels, stride_at, size):
    torch.manual_seed(0)
    blocks = (1, 2, 1, 1) if name == "preact_resnet50" else (2, 2, 2)
    model = build(name, num_classes=7, blocks=blocks).eval()
    randomize_norms(model)
    image = torch.randn(2, 3, size, size + 8)
    with torch.inference_mode():
        expected = plain_logits(model, image, kernels, stride_at)
        torch.testing.assert_close(model(image), expected, rtol=1e-4, atol=1e-4)


# Figure 4, letter by letter: a unit that keeps the size, b batch norm, r ReLU, w a convolution
DRAWINGS = {
    "original": (["w1", "b1", "r", "w2", "b2"], ["r"]),
    "bn_after_add": (["w1", "b1", "r", "w2"], ["b_after", "r"]),
    "relu_before_add": (["w1", "b1", "r", "w2", "b2", "r"], []),
    "relu_only_preact": (["r", "w1", "b1", "r", "w2", "b2"], []),
    "full_preact": (["b_before", "r", "w1", "b1", "r", "w2"], []),
}
NORMS = {
    "b1": "branch.norm1",
    "b2": "branch.norm2",
    "b_before": "before.norm",
    "b_after": "after.norm",
}


def drawn(letters: list[str], x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    for letter in letters:
        if letter == "r":
            x = x.relu()
        elif letter in NORMS:
            x = normed(x, weights, NORMS[letter])
        else:
            x = conv(x, weights, f"branch.conv{letter[1]}")
    return x


@pytest.mark.parametrize("activation", FIGURE_4)
def test_a_unit_is_its_drawing_in_figure_4(activation):
    torch.manual_seed(0)
    spec = PreActResNetSpec((1,), (3, 3), (4,), 1, "cifar", "A", activation=activation)
    unit = make_unit(spec, 4, 4, 1).eval()
    randomize_norms(unit)
    weights, x = unit.state_dict(), torch.randn(2, 4, 5, 5)
    branch, after = DRAWINGS[activation]
    expected = drawn(after, x + drawn(branch, x, weights), weights)
    torch.testing.assert_close(unit(x), expected)


@pytest.mark.parametrize("activation", FIGURE_4)
def test_all_orders_have_as_many_parameters(activation):
    assert params(build_meta("preact_resnet110_cifar", activation=activation)) == 1_727_962


@pytest.mark.parametrize(
    ("activation", "mode"),
    [*((order, "identity") for order in FIGURE_4), *(("original", mode) for mode in FIGURE_2[1:])],
)
@pytest.mark.parametrize("name", ["preact_resnet110_cifar", "preact_resnet164_cifar"])
def test_every_ablation_keeps_the_shapes(name, activation, mode):
    model = build_meta(name, blocks=(2, 2, 2), activation=activation, shortcut_mode=mode)
    shapes = []
    for stage in model.stages:
        stage.register_forward_hook(lambda *at: shapes.append(tuple(at[2].shape[1:])))
    assert model(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 10)
    widths = (16, 32, 64) if name == "preact_resnet110_cifar" else (64, 128, 256)
    assert shapes == [(widths[0], 32, 32), (widths[1], 16, 16), (widths[2], 8, 8)]


def by_order(source: nn.Module, target: nn.Module) -> None:
    """Copy the state of one network into another that lists equal shapes in the same order."""
    theirs, ours = source.state_dict(), target.state_dict()
    assert [v.shape for v in theirs.values()] == [v.shape for v in ours.values()]
    target.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))


def test_the_original_order_is_resnet_itself():
    torch.manual_seed(0)
    resnet = build("resnet14_cifar").eval()
    randomize_norms(resnet)
    ours = build("preact_resnet110_cifar", blocks=(2, 2, 2), activation="original").eval()
    by_order(resnet, ours)
    image = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(ours(image), resnet(image))


@pytest.mark.parametrize("stride_on", ["1x1", "3x3"])
def test_the_original_order_of_a_bottleneck_is_resnet_itself(stride_on):
    torch.manual_seed(0)

    def block(*args: object) -> nn.Module:
        return Bottleneck(*args, stride_on=stride_on)

    spec = ResNetSpec(block, (1, 2), (8, 16), expansion=4)
    resnet = ResNet(spec, 5).eval()
    randomize_norms(resnet)
    ours = build(
        "preact_resnet50",
        num_classes=5,
        blocks=(1, 2),
        widths=(8, 16),
        activation="original",
        stride_on=stride_on,
    ).eval()
    by_order(resnet, ours)
    image = torch.randn(2, 3, 40, 40)
    torch.testing.assert_close(ours(image), resnet(image))


def silence_branches(model: nn.Module) -> None:
    """Make every F(x) zero."""
    for unit in (m for m in model.modules() if isinstance(m, ResidualUnit)):
        for layer in unit.branch.children():
            if isinstance(layer, nn.Conv2d):
                nn.init.zeros_(layer.weight)


def test_the_identity_path_carries_signal_and_gradient_unchanged():
    """Equations 4 and 5: with F = 0, x_L is x_l and dE/dx_l is dE/dx_L, exactly."""
    torch.manual_seed(0)
    model = build("preact_resnet110_cifar", blocks=(2, 2, 4))
    silence_branches(model)
    path = model.stages.stage3[1:]
    x = torch.randn(2, 64, 8, 8, requires_grad=True)
    y = path(x)
    assert torch.equal(y, x)
    gradient = torch.randn_like(y)
    y.backward(gradient)
    assert torch.equal(x.grad, gradient)


def test_scaled_shortcuts_halve_the_signal_in_every_unit():
    """Equations 7 and 8: the product of the factors stands before the gradient."""
    torch.manual_seed(0)
    model = build("preact_resnet110_cifar", blocks=(1, 1, 5), shortcut_mode="scaling_0.5_1")
    silence_branches(model)
    x = torch.randn(2, 64, 8, 8, requires_grad=True)
    y = model.stages.stage3[1:](x)
    assert torch.equal(y, x / 16)
    y.sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 1 / 16))


@pytest.mark.parametrize(
    ("name", "stage"), [("preact_resnet110_cifar", "stage1"), ("preact_resnet164_cifar", "stage2")]
)
def test_the_first_unit_and_those_that_change_the_size_share_one_activation(name, stage):
    torch.manual_seed(0)
    model = build(name, blocks=(2, 2, 2)).eval()
    silence_branches(model)
    unit = model.stages.get_submodule(stage)[0]
    x = torch.randn(2, *([16] if stage == "stage1" else [64]), 8, 8)
    activated = F.batch_norm(x, torch.zeros(x.shape[1]), torch.ones(x.shape[1])).relu()
    torch.testing.assert_close(unit(x), unit.shortcut(activated))
    later = model.stages.get_submodule(stage)[1]
    kept = unit(x)
    assert torch.equal(later(kept), kept)


def test_no_activation_follows_the_addition_but_the_last():
    torch.manual_seed(0)
    model = build("preact_resnet164_cifar", blocks=(1, 1, 1)).eval()
    maps = model.stages(model.stem(torch.randn(2, 3, 16, 16)))
    assert (maps < 0).any()
    assert not (model.final(maps) < 0).any()
    assert [type(m) for m in model.final] == [nn.BatchNorm2d, nn.ReLU]
    assert model.cam_layer == "final"


def test_projections_have_no_batch_norm_and_convolutions_no_bias():
    model = build_meta("preact_resnet50")
    projections = [stage[0].shortcut for stage in model.stages]
    assert [(type(p), p.stride) for p in projections] == [
        (nn.Conv2d, (1, 1)),
        *[(nn.Conv2d, (2, 2))] * 3,
    ]
    assert all(m.bias is None for m in model.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize(
    ("name", "strides"),
    [("preact_resnet50", [1, 2, 1]), ("preact_resnet164_cifar", [2, 1, 1])],
)
def test_where_a_bottleneck_has_its_stride(name, strides):
    branch = list(build_meta(name).stages.children())[1][0].branch
    assert [branch.get_submodule(f"conv{i}").stride[0] for i in (1, 2, 3)] == strides


def test_the_imagenet_stem_activates_for_the_first_unit():
    model = build_meta("preact_resnet50")
    assert isinstance(model.stages.conv2_x[0].before, nn.Identity)
    assert isinstance(model.stages.conv2_x[1].before, nn.Sequential)


@pytest.mark.parametrize("exclusive", [True, False])
def test_gates_are_equations_of_section_3_1(exclusive):
    torch.manual_seed(0)
    gating = Gating(3, bias=-1.0, exclusive=exclusive)
    gating.reset_parameters()
    x, y = torch.randn(2, 2, 3, 4, 4)
    matrix = gating.conv.weight[:, :, 0, 0]
    gate = torch.sigmoid(torch.einsum("oc,nchw->nohw", matrix, x) - 1.0)
    expected = (1 - gate) * x + (gate * y if exclusive else y)
    torch.testing.assert_close(gating(x, y), expected)


def test_gates_start_from_the_bias_given():
    model = build("preact_resnet110_cifar", blocks=(1, 1, 1), shortcut_mode="exclusive_gating")
    gates = [m for m in model.modules() if isinstance(m, Gating)]
    assert len(gates) == 3
    assert all((gate.conv.bias == -6).all() for gate in gates)
    assert all(gate.conv.weight.std() > 0 for gate in gates)


def test_scaling_is_equation_7():
    x, y = torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), 3.0)
    assert torch.equal(ConstantScaling(0.5, 0.5)(x, y), torch.full_like(x, 2.0))


def test_dropout_on_the_shortcut_acts_in_training_alone():
    torch.manual_seed(0)
    model = build("preact_resnet110_cifar", blocks=(1, 1, 2), shortcut_mode="dropout")
    silence_branches(model)
    unit, x = model.stages.stage3[1], torch.rand(4, 64, 8, 8) + 1
    assert torch.equal(unit.eval()(x), x)
    y = unit.train()(x)
    kept = y != 0
    assert torch.equal(y[kept], 2 * x[kept])
    assert kept.float().mean().item() == pytest.approx(0.5, abs=0.02)


def test_a_plain_net_has_no_shortcut():
    torch.manual_seed(0)
    model = build("preact_resnet110_cifar", blocks=(2, 2, 2), shortcut=None).eval()
    silence_branches(model)
    assert not model.stages(torch.randn(1, 16, 8, 8)).any()


def test_weights_are_drawn_as_in_resnet():
    torch.manual_seed(0)
    model = build("preact_resnet164_cifar", blocks=(2, 2, 2))
    for layer in (m for m in model.modules() if isinstance(m, nn.Conv2d)):
        expected = math.sqrt(2 / (layer.kernel_size[0] ** 2 * layer.out_channels))
        error = 4 / math.sqrt(2 * layer.weight.numel())  # four standard errors
        assert layer.weight.std().item() == pytest.approx(expected, rel=error)
    assert not model.head.fc.bias.any()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"activation": "preact"}, "activation is one of 'original', 'bn_after_add'"),
        ({"shortcut_mode": "gating"}, "shortcut_mode is one of 'identity', 'scaling_0.5_1'"),
        ({"shortcut": "D"}, "shortcut takes 'A', 'B', 'C' or None; got 'D'"),
        ({"stem": "mnist"}, "stem takes 'imagenet' or 'cifar'; got 'mnist'"),
        ({"stride_on": "5x5"}, "stride_on takes '1x1' or '3x3'; got '5x5'"),
        ({"blocks": (2, 2)}, "one number of at least 1 for each stage"),
        ({"blocks": (2, 2, 0, 2)}, "one number of at least 1 for each stage"),
    ],
)
def test_specs_of_no_network_are_refused(overrides, message):
    with pytest.raises(InputError, match=re.escape(message)):
        build_meta("preact_resnet50", **overrides)
