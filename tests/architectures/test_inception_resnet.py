"""Inception-ResNet: what only this paper says of its networks (Szegedy et al. 2016)."""

import pytest
import torch
from counting import macs
from plain import PlainInception
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.architectures.inception_resnet import V1, V2_FIGURES, ResidualInception
from convatlas.architectures.inception_v3 import Conv
from convatlas.catalog import build_meta
from convatlas.errors import InputError

# parameters and multiply-adds at 299, of independent builds
COUNTS = {
    "inception_resnet_v1": (22_756_328, 6_206_361_696),
    "inception_resnet_v2": (55_843_464, 13_155_794_016),
    "inception_resnet_v2_paper": (32_433_928, 9_257_953_632),
}
# modules A, B and C; maps of 35x35, 17x17 and 8x8
SHAPE = {
    "inception_resnet_v1": ((5, 10, 5), (256, 896, 1792)),
    "inception_resnet_v2": ((10, 20, 10), (320, 1088, 2080)),
    "inception_resnet_v2_paper": ((5, 10, 5), (384, 1152, 2144)),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_multiply_adds_and_maps_are_exact(name):
    model, seen = build_meta(name).eval(), {}
    for stage, layer in model.stages.named_children():
        layer.register_forward_hook(lambda *at, stage=stage: seen.update({stage: at[2].shape[1:]}))
    params = sum(p.numel() for p in model.parameters())
    assert (params, macs(model, 3, 299, 299)) == COUNTS[name]
    counts, maps = SHAPE[name]
    for letter, count, width, side in zip("abc", counts, maps, (35, 17, 8), strict=True):
        stage = f"inception_resnet_{letter}"
        assert len(model.stages.get_submodule(stage)) == count
        assert seen[stage] == (width, side, side)


class Plain(PlainInception):
    """The nets written out, layer after layer."""

    def residual(self, name: str, x: Tensor, branches: int, scale: float, act: bool = True):
        rows = [self.row(f"{name}.branches.branch{i}", x) for i in range(1, branches + 1)]
        weight, bias = (self.state[f"{name}.expand.{kind}"] for kind in ("weight", "bias"))
        x = x + scale * F.conv2d(torch.cat(rows, 1), weight, bias)
        return F.relu(x) if act else x

    def stem_v1(self, x: Tensor) -> Tensor:
        x = self.conv("stem.conv2", self.conv("stem.conv1", x, 2), valid=True)
        x = F.max_pool2d(self.conv("stem.conv3", x), 3, 2)
        x = self.conv("stem.conv5", self.conv("stem.conv4", x), valid=True)
        return self.conv("stem.conv6", x, 2)

    def stem_released(self, x: Tensor) -> Tensor:
        x = self.conv("stem.Conv2d_2a_3x3", self.conv("stem.Conv2d_1a_3x3", x, 2), valid=True)
        x = F.max_pool2d(self.conv("stem.Conv2d_2b_3x3", x), 3, 2)
        x = self.conv("stem.Conv2d_4a_3x3", self.conv("stem.Conv2d_3b_1x1", x), valid=True)
        x, name = F.max_pool2d(x, 3, 2), "stem.Mixed_5b"
        rows = [self.row(f"{name}.{branch}", x) for branch in ("conv1x1", "conv5x5", "double3x3")]
        average = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return torch.cat([*rows, self.conv(f"{name}.pool.conv1", average)], 1)

    def __call__(self, name: str, x: Tensor) -> Tensor:
        (a, b, c), released = SHAPE[name][0], name == "inception_resnet_v2"
        x = self.stem_released(x) if released else self.stem_v1(x)
        for i in range(1, a + 1):
            x = self.residual(f"stages.inception_resnet_a.inception_resnet_a{i}", x, 3, 0.17)
        x = self.reduction("stages.reduction_a", x, "conv3x3", "double3x3")
        for i in range(1, b + 1):
            x = self.residual(f"stages.inception_resnet_b.inception_resnet_b{i}", x, 2, 0.1)
        x = self.reduction("stages.reduction_b", x, "conv3x3a", "conv3x3b", "double3x3")
        for i in range(1, c + 1):
            last, stage = released and i == c, "stages.inception_resnet_c.inception_resnet_c"
            x = self.residual(f"{stage}{i}", x, 2, 1.0 if last else 0.2, act=not last)
        x = self.conv("stages.last", x) if released else x
        return F.linear(x.mean((2, 3)), self.state["head.fc.weight"], self.state["head.fc.bias"])


def drawn(name: str, **options) -> nn.Module:
    """Build a net with random weights, biases and statistics."""
    model = build_meta(name, **options).to_empty(device="cpu").eval()
    for key, tensor in model.state_dict().items():
        if key.endswith(("bias", "running_mean")):
            tensor.uniform_(-0.1, 0.1)
        elif tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5)
        elif tensor.dim() > 1:
            tensor.normal_(0.0, (2 / tensor[0].numel()) ** 0.5)
    return model


@pytest.mark.parametrize("name", ["inception_resnet_v1", "inception_resnet_v2"])
def test_the_function_is_that_of_a_plain_re_implementation(name):
    torch.manual_seed(0)
    model, x = drawn(name, num_classes=7), torch.randn(1, 3, 75, 107)
    with torch.no_grad():
        expected = Plain(model.state_dict())(name, x)
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


def test_without_its_residual_a_module_passes_what_is_not_negative():
    torch.manual_seed(1)
    block = ResidualInception(4, ((Conv(2, 1),), (Conv(2, 1), Conv(3, 3))), scale=0.0)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), F.relu(x))
    linear = ResidualInception(4, ((Conv(2, 1),),), scale=0.0, act=False)
    assert torch.equal(linear(x), x)


def test_the_residual_is_scaled_and_neither_normalised_nor_cut():
    torch.manual_seed(2)
    block = ResidualInception(4, ((Conv(2, 1),), (Conv(3, 3),)), scale=0.25, act=False).eval()
    assert list(dict(block.expand.named_parameters())) == ["weight", "bias"]
    x = torch.randn(1, 4, 5, 5)
    with torch.no_grad():
        residual = block.expand(block.branches(x))
        assert residual.min() < 0
        torch.testing.assert_close(block(x) - x, 0.25 * residual)


@pytest.mark.parametrize("spec", [V1, V2_FIGURES], ids=["v1", "v2"])
def test_scales_are_those_that_section_3_3_recommends(spec):
    assert all(0.1 <= blocks.scale <= 0.3 for blocks in (spec.a, spec.b, spec.c))


def test_the_released_net_ends_with_a_linear_module_and_a_convolution():
    released = build_meta("inception_resnet_v2")
    *_, before, last = released.stages.inception_resnet_c.children()
    assert (before.scale, last.scale) == (0.2, 1.0)
    assert isinstance(before.act, nn.ReLU)
    assert last.act is None
    assert released.head.fc.in_features == 1536
    assert released.cam_layer == "stages.last"
    assert build_meta("inception_resnet_v1").cam_layer == "stages.inception_resnet_c"


@pytest.mark.parametrize("name", COUNTS)
def test_the_least_image(name):
    model = build_meta(name).eval()
    assert model(torch.empty(1, 3, 75, 75, device="meta")).shape == (1, 1000)
    with pytest.raises(InputError, match=r"at least 75x75, the least for stages\.reduction_b"):
        model(torch.empty(1, 3, 75, 74, device="meta"))
    with pytest.raises(RuntimeError):  # that layer itself
        model.stages(model.stem(torch.empty(1, 3, 75, 74, device="meta")))


def test_a_dropout_of_everything_is_refused():
    assert build_meta("inception_resnet_v1").head.dropout.p == 0.2
    with pytest.raises(InputError, match="dropout must be at least 0 and less than 1, not 2"):
        build_meta("inception_resnet_v1", dropout=2)
