"""SqueezeNet: what only this paper says of its networks (Iandola et al. 2016)."""

import numpy as np
import pytest
import torch
from counting import macs, params
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.architectures.squeezenet import FIRE_MODULES, Fire, SqueezeNetSpec
from convatlas.catalog import build, build_meta
from convatlas.errors import InputError
from convatlas.recipes.squeezenet import RECIPES

# parameters, and multiply-adds at 224 and 227, of independent builds
COUNTS = {
    "squeezenet1_0": (1_248_424, 818_924_576, 832_667_936),
    "squeezenet1_0_bypass": (1_248_424, 818_924_576, 832_667_936),
    "squeezenet1_0_caffe": (1_248_424, 847_596_576, 861_339_936),
    "squeezenet1_1": (1_235_496, 349_151_936, 387_747_520),
}

# Table 1, "#parameter before pruning": fire2 ... fire9
FIRE_PARAMS = [11_920, 12_432, 45_344, 49_440, 104_880, 111_024, 188_992, 197_184]


def draw_biases(model: nn.Module) -> nn.Module:
    """Make every bias count, for fresh ones are 0."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.uniform_(parameter, -0.1, 0.1)
    return model


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_multiply_adds_are_exact(name):
    model = build_meta(name)
    assert (params(model), macs(model, 3, 224, 224), macs(model, 3, 227, 227)) == COUNTS[name]


def test_fire_modules_have_the_parameters_of_table_1():
    stages = build_meta("squeezenet1_0").stages
    assert [params(stages.get_submodule(f"fire{i}")) for i in FIRE_MODULES] == FIRE_PARAMS


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("squeezenet1_0", ["fire4", "maxpool4", "fire5", "fire6", "fire7", "fire8", "maxpool8"]),
        ("squeezenet1_1", ["fire3", "maxpool3", "fire4", "fire5", "maxpool5", "fire6", "fire7"]),
    ],
)
def test_where_the_poolings_stand(name, order):
    names = [child for child, _ in build_meta(name).stages.named_children()]
    assert names[names.index(order[0]) :][: len(order)] == order


def test_real_weights_of_version_1_1_give_the_published_outputs(data_root):
    folder = data_root / "weights" / "squeezenet1.1-imagenet"
    with np.load(folder / "squeezenet1.1.npz") as stored:
        theirs = [
            torch.from_numpy(stored[f"squeezenet0_conv{i}_{kind}"])
            for i in range(26)
            for kind in ("weight", "bias")
        ]
    model = build("squeezenet1_1").eval()
    model.load_state_dict(dict(zip(model.state_dict(), theirs, strict=True)))
    x = torch.from_numpy(np.load(folder / "test_vector_0_input_0.npy"))
    expected = torch.from_numpy(np.load(folder / "test_vector_0_output_0.npy"))
    with torch.no_grad():
        torch.testing.assert_close(model(x), expected, rtol=1e-6, atol=5e-4)


def plain_fire(state: dict[str, Tensor], i: int, x: Tensor) -> Tensor:
    def conv(name: str, x: Tensor, padding: int = 0) -> Tensor:
        key = f"stages.fire{i}.{name}"
        return F.relu(F.conv2d(x, state[f"{key}.weight"], state[f"{key}.bias"], padding=padding))

    x = conv("squeeze1x1", x)
    return torch.cat([conv("expand1x1", x), conv("expand3x3", x, padding=1)], 1)


def plain_squeezenet(state: dict[str, Tensor], x: Tensor, bypass: str) -> Tensor:
    """Version 1.0 written out, layer after layer."""
    x = F.relu(F.conv2d(x, state["stem.conv1.weight"], state["stem.conv1.bias"], stride=2))
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    for i in FIRE_MODULES:
        y = plain_fire(state, i, x)
        if bypass != "none" and i % 2:
            y = y + x
        elif bypass == "complex":
            key = f"stages.fire{i}.bypass"
            y = y + F.conv2d(x, state[f"{key}.weight"], state[f"{key}.bias"])
        x = F.max_pool2d(y, 3, 2, ceil_mode=True) if i in (4, 8) else y
    x = F.relu(F.conv2d(x, state["head.conv10.weight"], state["head.conv10.bias"]))
    return x.mean((2, 3))


@pytest.mark.parametrize(
    ("name", "bypass"),
    [
        ("squeezenet1_0", "none"),
        ("squeezenet1_0_bypass", "simple"),
        ("squeezenet1_0_complex_bypass", "complex"),
    ],
)
def test_the_function_is_that_of_a_plain_re_implementation(name, bypass):
    torch.manual_seed(0)
    model = draw_biases(build(name, num_classes=7)).eval()
    x = torch.randn(2, 3, 70, 53)
    with torch.no_grad():
        torch.testing.assert_close(model(x), plain_squeezenet(model.state_dict(), x, bypass))


def test_a_simple_bypass_adds_no_parameter():
    plain, bypass = build_meta("squeezenet1_0"), build_meta("squeezenet1_0_bypass")
    assert list(plain.state_dict()) == list(bypass.state_dict())


def test_a_complex_bypass_adds_four_convolutions():
    plain, bypass = build_meta("squeezenet1_0"), build_meta("squeezenet1_0_complex_bypass")
    added = bypass.state_dict().keys() - plain.state_dict().keys()
    assert added == {
        f"stages.fire{i}.bypass.{kind}" for i in (2, 4, 6, 8) for kind in ("weight", "bias")
    }
    assert params(bypass) == 1_589_672


def test_the_padding_of_the_released_conv10_enters_the_average():
    """A ring of 56 of its 15 x 15 cells sees nothing but the bias."""
    torch.manual_seed(1)
    paper = draw_biases(build("squeezenet1_0", num_classes=5)).eval()
    caffe = build("squeezenet1_0_caffe", num_classes=5).eval()
    caffe.load_state_dict(paper.state_dict())
    x = torch.randn(1, 3, 227, 227)
    with torch.no_grad():
        ring = F.relu(paper.head.conv10.bias)
        torch.testing.assert_close(caffe(x), (169 * paper(x) + 56 * ring) / 225)


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_each_logit_is_the_mean_of_a_class_map_that_is_never_negative(name):
    torch.manual_seed(2)
    model = draw_biases(build(name, num_classes=6)).eval()
    maps = []
    model.get_submodule(model.cam_layer).register_forward_hook(lambda *at: maps.append(at[2]))
    with torch.no_grad():
        logits = model(torch.randn(2, 3, 64, 64))
    torch.testing.assert_close(logits, maps[0].mean((2, 3)))
    assert logits.min() >= 0


# squeeze ratio, fraction of 3x3, and the model's size in MiB: section 5.2, section 5.3, Figure 3
@pytest.mark.parametrize(
    ("ratio", "pct3x3", "size"),
    [(0.125, 0.5, 4.8), (0.75, 0.5, 19), (0.5, 0.01, 5.7), (0.5, 0.5, 13), (0.5, 0.99, 21)],
)
def test_metaparameters_lead_to_the_sizes_of_figure_3(ratio, pct3x3, size):
    model = build_meta("squeezenet1_0", squeeze_ratio=ratio, pct3x3=pct3x3)
    assert 4 * params(model) / 2**20 == pytest.approx(size, rel=0.04)


@settings(deadline=None)
@given(
    base_e=st.integers(16, 200),
    incr_e=st.integers(0, 100),
    freq=st.integers(1, 9),
    pct3x3=st.floats(0.05, 0.95),
    ratio=st.floats(0.1, 1),
)
def test_expand_filters_grow_by_incr_e_every_freq_modules(base_e, incr_e, freq, pct3x3, ratio):
    spec = SqueezeNetSpec(
        base_e=base_e, incr_e=incr_e, freq=freq, pct3x3=pct3x3, squeeze_ratio=ratio
    )
    for number, i in enumerate(FIRE_MODULES):
        squeeze, expand1x1, expand3x3 = spec.squeeze_and_expand(i)
        expand = base_e + number // freq * incr_e
        assert expand1x1 + expand3x3 == expand
        assert abs(expand3x3 - pct3x3 * expand) <= 0.5
        assert abs(squeeze - ratio * expand) <= 0.5


@pytest.mark.parametrize(
    ("name", "least", "layer"),
    [("squeezenet1_0", 21, "stages.maxpool8"), ("squeezenet1_1", 17, "stages.maxpool5")],
)
def test_the_least_image(name, least, layer):
    model = build_meta(name).eval()
    assert model(torch.empty(1, 3, least, least, device="meta")).shape == (1, 1000)
    with pytest.raises(InputError, match=f"at least {least}x{least}, the least for {layer}"):
        model(torch.empty(1, 3, least, least - 1, device="meta"))


def test_initialization_is_that_of_the_released_net():
    torch.manual_seed(3)
    model = build("squeezenet1_0")
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            assert not module.bias.any()
            bound = (3 / module.weight[0].numel()) ** 0.5
            if name != "head.conv10":
                assert 0.98 * bound < module.weight.abs().max() <= bound
    assert model.head.conv10.weight.std().item() == pytest.approx(0.01, rel=0.01)


def test_a_fire_module_without_bypass_concatenates_the_1x1_maps_first():
    fire = Fire(3, 2, 4, 5)
    nn.init.zeros_(fire.expand3x3.weight)
    nn.init.zeros_(fire.expand3x3.bias)
    nn.init.constant_(fire.expand1x1.bias, 9.0)
    with torch.no_grad():
        y = fire(torch.randn(1, 3, 6, 6))
    assert (y[:, :4] > 0).all()
    assert not y[:, 4:].any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bypass": "double"}, "bypass takes 'none', 'simple' or 'complex'; got 'double'"),
        ({"pct3x3": 1.5}, "pct3x3 is a fraction"),
        ({"pct3x3": 1}, "fire2 has no filter left"),
        ({"squeeze_ratio": "half"}, "squeeze_ratio takes a number, such as 0.125; got 'half'"),
        ({"freq": 0}, "freq must be at least 1, not 0"),
        ({"base_e": 12.5}, "base_e takes a whole number, such as 128; got 12.5"),
        ({"conv1": (0, 7)}, "conv1 has at least 1 filter of at least 1x1, not"),
        ({"pool_after": (4, 11)}, "fire modules from 2 to 9"),
    ],
)
def test_what_no_network_can_be_built_with_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        build_meta("squeezenet1_0", **changes)


def test_the_rate_falls_to_zero_in_a_straight_line():
    recipe = RECIPES["imagenet"]
    for epoch in np.linspace(0, recipe.epochs, 500, endpoint=False):
        assert recipe.schedule(epoch) == pytest.approx(1 - epoch / 68, abs=0.5 / 68 + 1e-9)
    images = 1_281_167
    assert recipe.epochs == round(170_000 * recipe.batch_size / images)
