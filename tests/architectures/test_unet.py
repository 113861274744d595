"""U-Net: what only this paper says of its network (Ronneberger et al. 2015)."""

import pytest
import torch
from counting import macs, params
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.architectures.unet import BORDER, STEP, Crop, UNetSpec
from convatlas.catalog import build, build_meta, find
from convatlas.errors import InputError
from convatlas.recipes.unet import RECIPES

# parameters and multiply-adds at the input of Figure 1, of independent builds
COUNTS = {
    "unet": (31_030_658, 150_428_424_448),
    "unet_release": (31_100_354, 157_294_254_336),
}
# height and width that Figure 1 prints at the end of each level
FIGURE_1 = {
    "enc1": 568,
    "enc2": 280,
    "enc3": 136,
    "enc4": 64,
    "enc5": 28,
    "dec1": 52,
    "dec2": 100,
    "dec3": 196,
    "dec4": 388,
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_multiply_adds_are_exact(name):
    model = build_meta(name).eval()
    assert (params(model), macs(model, 1, 572, 572)) == COUNTS[name]


@pytest.mark.parametrize(
    ("in_channels", "num_classes", "published"), [(1, 1, 31_030_593), (3, 2, 31_031_810)]
)
def test_parameters_for_other_channels_and_classes(in_channels, num_classes, published):
    model = build_meta("unet", in_channels=in_channels, num_classes=num_classes)
    assert params(model) == published


def test_padding_costs_no_parameter():
    assert params(build_meta("unet_padded")) == params(build_meta("unet"))


def test_maps_and_crops_are_those_of_figure_1():
    model, sizes, crops = build_meta("unet").eval(), {}, {}
    for name, layer in (*model.contracting.items(), *model.expansive.items()):
        layer.register_forward_hook(lambda *at, name=name: sizes.update({name: at[2].shape[2]}))
        if isinstance(layer, Crop):
            layer.register_forward_hook(
                lambda *at, name=name: crops.update(
                    {name: (at[1][0].shape[3] - at[2].shape[3]) // 2}
                )
            )
    model(torch.empty(1, 1, 572, 572, device="meta"))
    assert {name: sizes[name] for name in FIGURE_1} == FIGURE_1
    assert crops == {"skip1": 4, "skip2": 16, "skip3": 40, "skip4": 88}


def plain_level(state: dict[str, Tensor], name: str, x: Tensor, padding: int) -> Tensor:
    for i in (1, 2):
        weight, bias = (state[f"{name}.conv{i}.{kind}"] for kind in ("weight", "bias"))
        x = F.relu(F.conv2d(x, weight, bias, padding=padding))
    return x


def plain_unet(state: dict[str, Tensor], x: Tensor, spec: UNetSpec) -> Tensor:
    """The net written out, without dropout."""
    padding, skips = int(spec.padded), []
    for level in (1, 2, 3, 4):
        skips.append(plain_level(state, f"contracting.enc{level}", x, padding))
        x = F.max_pool2d(skips[-1], 2)
    x = plain_level(state, "contracting.enc5", x, padding)
    for level in (1, 2, 3, 4):
        name = f"expansive.up{level}" + (".0" if spec.up_relu else "")
        x = F.conv_transpose2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride=2)
        x = F.relu(x) if spec.up_relu else x
        skip = skips[-level]
        border = [(skip.shape[axis] - x.shape[axis]) // 2 for axis in (2, 3)]
        skip = F.pad(skip, (-border[1], -border[1], -border[0], -border[0]))
        x = torch.cat([skip, x] if spec.skip_first else [x, skip], 1)
        x = plain_level(state, f"expansive.dec{level}", x, padding)
    return F.conv2d(x, state["head.out.weight"], state["head.out.bias"])


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("unet", {}, (188, 220)),
        ("unet", {"skip_first": True}, (188, 188)),
        ("unet_release", {"last_up": 6}, (204, 188)),
        ("unet_padded", {}, (48, 16)),
    ],
)
def test_the_function_is_that_of_a_plain_re_implementation(name, options, size):
    torch.manual_seed(0)
    model = build(name, width=3, **options).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.uniform_(parameter, -0.1, 0.1)
    x = torch.randn(2, 1, *size)
    with torch.no_grad():
        expected = plain_unet(model.state_dict(), x, model.spec)
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)


@given(b=st.integers(8, 60))
def test_legal_sizes_are_16_b_and_60_and_lose_92_pixels_a_side(b):
    """b is the height and width that reach the lowest level."""
    spec = find("unet")[1].spec
    assert spec.nearest_sizes(16 * b + 60) == [16 * b + 60]
    assert spec.output_size(16 * b + 60) == 16 * b - 124
    assert spec.nearest_sizes(16 * b + 60 + 7) == [16 * b + 60, 16 * (b + 1) + 60]


@pytest.mark.parametrize(
    ("name", "size"), [("unet", (188, 252)), ("unet", (204, 188)), ("unet_padded", (16, 80))]
)
def test_the_output_has_the_size_that_the_spec_foretells(name, size):
    model = build_meta(name, width=1).eval()
    logits = model(torch.empty(1, 1, *size, device="meta"))
    assert logits.shape == (1, 2, *(model.spec.output_size(n) for n in size))


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("unet", (571, 572), "got 571x572: a height of 571 .* the nearest are 556 and 572"),
        ("unet", (572, 574), "got 572x574: a width of 574 .* the nearest are 572 and 588"),
        ("unet", (572, 187), r"at least 188x188, the least for expansive\.dec2\.conv2"),
        ("unet_padded", (64, 65), "a width of 65 .* the nearest are 64 and 80"),
        ("unet_padded", (15, 64), r"at least 16x16, the least for contracting\.pool4"),
    ],
)
def test_a_size_that_poolings_would_cut_is_refused(name, size, message):
    with pytest.raises(InputError, match=message):
        build_meta(name, width=1)(torch.empty(1, 1, *size, device="meta"))


def test_a_pixel_of_the_output_sees_the_tile_and_nothing_of_a_border_of_zeros():
    """A constant image has constant logits: no convolution is padded."""
    torch.manual_seed(1)
    model = build("unet", width=2).eval()
    with torch.no_grad():
        logits = model(torch.full((1, 1, 236, 236), 0.7))
    assert logits.shape[2:] == (236 - 2 * BORDER,) * 2
    torch.testing.assert_close(logits, logits[:, :, :1, :1].expand_as(logits))


def test_tiles_a_multiple_of_16_apart_are_seamless():
    torch.manual_seed(2)
    model, image = build("unet", width=2).eval(), torch.randn(1, 1, 236, 188)
    with torch.no_grad():
        whole = model(image)
        tiles = [model(image[:, :, top : top + 188]) for top in range(0, 49, STEP)]
    for i, tile in enumerate(tiles):
        torch.testing.assert_close(tile, whole[:, :, STEP * i : STEP * i + 4], rtol=1e-4, atol=1e-5)


def test_dropout_stands_at_the_end_of_the_contracting_path():
    model = build_meta("unet")
    drops = {name: m.p for name, m in model.named_modules() if isinstance(m, nn.Dropout)}
    assert drops == {"contracting.enc4.dropout": 0.5, "contracting.enc5.dropout": 0.5}


def test_a_crop_is_the_centre():
    x = torch.arange(36.0).reshape(1, 1, 6, 6)
    assert Crop()(x, torch.empty(1, 3, 2, 4)).tolist() == [[[[13, 14, 15, 16], [19, 20, 21, 22]]]]


def test_initialization_keeps_the_variance_of_one_unit():
    torch.manual_seed(3)
    model = build("unet", width=16)
    inputs = {
        "contracting.enc3.conv2": 9 * 64,
        "expansive.up1": 256,  # one value of each map reaches a pixel
        "expansive.dec1.conv1": 9 * 256,
    }
    for name, count in inputs.items():
        layer = model.get_submodule(name)
        assert layer.weight.std().item() == pytest.approx((2 / count) ** 0.5, rel=0.02)
        assert not layer.bias.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width must be a whole number of at least 1, not 0"),
        ({"last_up": 1.5}, r"last_up takes a whole number or None; got 1\.5"),
        ({"dropout": 1}, "dropout must be at least 0 and less than 1, not 1"),
    ],
)
def test_what_no_network_can_be_built_with_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        build_meta("unet", **changes)


def test_one_tile_a_step_with_a_high_momentum():
    recipe = RECIPES["isbi"]
    assert (recipe.batch_size, recipe.optimizer.momentum) == (1, 0.99)
