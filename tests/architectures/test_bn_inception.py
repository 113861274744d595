"""BN-Inception: what only this paper says of its networks (Ioffe, Szegedy 2015)."""

import pytest
import torch
from counting import macs, params
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.architectures.bn_inception import FIGURE_5, make_module
from convatlas.catalog import build, build_meta, find
from convatlas.errors import InputError
from convatlas.recipes import googlenet
from convatlas.recipes.bn_inception import RECIPES

# parameters and multiply-adds at 224, of independent builds
COUNTS = {
    "bn_inception": (11_285_224, 2_032_600_064),
    "bn_inception_slim": (11_194_984, 2_018_851_840),
}
# maps, height and width that leave each module
LEAVING = {
    "inception_3a": (256, 28),
    "inception_3b": (320, 28),
    "inception_3c": (576, 14),
    "inception_4a": (576, 14),
    "inception_4b": (576, 14),
    "inception_4c": (608, 14),
    "inception_4d": (608, 14),
    "inception_4e": (1056, 7),
    "inception_5a": (1024, 7),
    "inception_5b": (1024, 7),
}


def leaving(name: str) -> dict[str, tuple[int, int]]:
    model, seen = build_meta(name).eval(), {}
    for stage, module in model.stages.named_children():
        module.register_forward_hook(lambda *at, stage=stage: seen.update({stage: at[2].shape}))
    model(torch.empty(1, 3, 224, 224, device="meta"))
    return {stage: (shape[1], shape[2]) for stage, shape in seen.items()}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_multiply_adds_are_exact(name):
    model = build_meta(name).eval()
    assert (params(model), macs(model, 3, 224, 224)) == COUNTS[name]


def test_the_printed_filters_lead_to_608_and_1056_maps():
    assert leaving("bn_inception") == LEAVING


def test_the_pool_projections_of_tf_slim_lead_to_the_printed_maps():
    printed = {"inception_4c": (576, 14), "inception_4d": (576, 14), "inception_4e": (1024, 7)}
    assert leaving("bn_inception_slim") == LEAVING | printed


def draw_all(model: nn.Module) -> nn.Module:
    """Make every bias and every statistic of batch norm count."""
    for name, tensor in model.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            nn.init.uniform_(tensor, -0.1, 0.1)
        elif "norm" in name and tensor.dim() == 1:
            nn.init.uniform_(tensor, 0.5, 1.5)
    return model


class Plain:
    """The net written out, layer after layer."""

    def __init__(self, state: dict[str, Tensor], act=F.relu) -> None:
        self.state, self.act = state, act

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.conv.weight"]
        bias = self.state.get(f"{name}.conv.bias")
        x = F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2)
        if bias is None:
            mean, var, scale, shift = (
                self.state[f"{name}.norm.{kind}"][:, None, None]
                for kind in ("running_mean", "running_var", "weight", "bias")
            )
            x = (x - mean) / (var + 1e-3).sqrt() * scale + shift
        return self.act(x)

    def module(self, name: str, x: Tensor) -> Tensor:
        stride = 2 if name in ("stages.inception_3c", "stages.inception_4e") else 1
        single = self.conv(f"{name}.conv3x3.conv", self.conv(f"{name}.conv3x3.reduce", x), stride)
        double = self.conv(f"{name}.double3x3.reduce", x)
        double = self.conv(f"{name}.double3x3.conv1", double)
        double = self.conv(f"{name}.double3x3.conv2", double, stride)
        if stride == 2:
            return torch.cat([single, double, F.max_pool2d(x, 3, 2, 1)], 1)
        pool = F.max_pool2d if name == "stages.inception_5b" else F.avg_pool2d
        pooled = self.conv(f"{name}.pool.proj", pool(x, 3, 1, 1))
        return torch.cat([self.conv(f"{name}.conv1x1", x), single, double, pooled], 1)

    def __call__(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv("stem.conv1", x, 2), 3, 2, ceil_mode=True)
        x = self.conv("stem.conv2.conv", self.conv("stem.conv2.reduce", x))
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        for name in LEAVING:
            x = self.module(f"stages.{name}", x)
        return F.linear(x.mean((2, 3)), self.state["head.fc.weight"], self.state["head.fc.bias"])


@pytest.mark.parametrize(
    ("changes", "act"),
    [
        ({}, F.relu),
        ({"activation": "sigmoid"}, torch.sigmoid),
        ({"batch_norm": False}, F.relu),
    ],
)
def test_the_function_is_that_of_a_plain_re_implementation(changes, act):
    torch.manual_seed(0)
    model = draw_all(build("bn_inception", num_classes=7, **changes)).eval()
    x = torch.randn(2, 3, 60, 43)
    with torch.no_grad():
        expected = Plain(model.state_dict(), act)(x)
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(14, 14), (15, 9), (1, 2)])
def test_a_module_of_stride_2_halves_odd_sizes_too(size):
    with torch.device("meta"):
        module = make_module(
            320, FIGURE_5["inception_3c"], find("bn_inception")[1].spec.layer
        ).eval()
        y = module(torch.empty(1, 320, *size))
    assert y.shape == (1, 576, -(-size[0] // 2), -(-size[1] // 2))


def test_without_batch_norm_a_bias_stands_for_scale_and_shift():
    plain, normed = build_meta("bn_inception", batch_norm=False), build_meta("bn_inception")
    biases = sum(p.numel() for name, p in plain.named_parameters() if name.endswith("conv.bias"))
    assert params(normed) == params(plain) + biases
    assert not any(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    assert not any(name.endswith("conv.bias") for name, _ in normed.named_parameters())


def test_there_is_no_dropout():
    assert not any(
        isinstance(module, nn.Dropout) for module in build_meta("bn_inception").modules()
    )


def test_the_least_image():
    model = build_meta("bn_inception").eval()
    assert model(torch.empty(1, 3, 7, 7, device="meta")).shape == (1, 1000)
    with pytest.raises(InputError, match=r"at least 7x7, the least for stem\.pool2"):
        model(torch.empty(1, 3, 6, 7, device="meta"))
    with pytest.raises(RuntimeError):  # that layer itself
        model.stem(torch.empty(1, 3, 6, 7, device="meta"))


def test_initialization_keeps_the_variance_of_relus():
    torch.manual_seed(1)
    model = build("bn_inception", batch_norm=False)
    for weights in (model.stem.conv2.conv.conv.weight, model.head.fc.weight):
        std = (2 / weights[0].numel()) ** 0.5
        assert weights.std().item() == pytest.approx(std, rel=0.01)
    assert not model.stem.conv1.conv.bias.any()


def test_an_activation_that_there_is_none_of_is_refused():
    with pytest.raises(InputError, match="activation takes 'relu' or 'sigmoid'; got 'tanh'"):
        build_meta("bn_inception", activation="tanh")


def test_the_rate_falls_six_times_as_fast_as_that_of_googlenet():
    slow, fast = googlenet.RECIPES["imagenet"], RECIPES["imagenet"]
    for epoch in range(slow.epochs - 8):
        assert fast.schedule(epoch / 6 + 0.01) == pytest.approx(slow.schedule(epoch + 0.06))
    assert fast.optimizer.weight_decay == pytest.approx(slow.optimizer.weight_decay / 5)


def test_the_rates_are_5_and_30_times_that_of_inception():
    rates = {name: recipe.optimizer.lr / 0.0015 for name, recipe in RECIPES.items()}
    assert rates == pytest.approx({"imagenet": 30, "imagenet_x5": 5})
