"""Inception-v3: what only this paper says of its network (Szegedy et al. 2015)."""

import pytest
import torch
from counting import macs, params
from plain import PlainInception
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.catalog import build, build_meta
from convatlas.errors import InputError
from convatlas.recipes.inception_v3 import RECIPES

# maps, height and width that leave each layer of the stem and each module, at 299x299
LEAVING = {
    "Conv2d_1a_3x3": (32, 149),
    "Conv2d_2a_3x3": (32, 147),
    "Conv2d_2b_3x3": (64, 147),
    "MaxPool_3a_3x3": (64, 73),
    "Conv2d_3b_1x1": (80, 73),
    "Conv2d_4a_3x3": (192, 71),
    "MaxPool_5a_3x3": (192, 35),
    "Mixed_5b": (256, 35),
    "Mixed_5c": (288, 35),
    "Mixed_5d": (288, 35),
    "Mixed_6a": (768, 17),
    "Mixed_6b": (768, 17),
    "Mixed_6c": (768, 17),
    "Mixed_6d": (768, 17),
    "Mixed_6e": (768, 17),
    "Mixed_7a": (1280, 8),
    "Mixed_7b": (2048, 8),
    "Mixed_7c": (2048, 8),
}


@pytest.mark.parametrize(
    ("sides", "published"), [(False, 23_834_568), (True, 27_161_264)], ids=["alone", "with sides"]
)
def test_parameters_are_exact(sides, published):
    assert params(build_meta("inception_v3", sides=sides)) == published


def test_multiply_adds_and_maps_are_exact():
    model, seen = build_meta("inception_v3").eval(), {}
    for name, layer in (*model.stem.named_children(), *model.stages.named_children()):
        layer.register_forward_hook(lambda *at, name=name: seen.update({name: at[2].shape}))
    assert macs(model, 3, 299, 299) == 5_713_216_096
    assert {name: (shape[1], shape[2]) for name, shape in seen.items()} == LEAVING


class Plain(PlainInception):
    """The net written out, layer after layer."""

    def __init__(self, state: dict[str, Tensor], count_padding: bool = True) -> None:
        super().__init__(state)
        self.count_padding = count_padding

    def pooled(self, name: str, x: Tensor) -> Tensor:
        x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=self.count_padding)
        return self.conv(f"{name}.pool.conv1", x)

    def even(self, name: str, x: Tensor, five: str, five_count: int, double: str, count: int):
        """A module of stride 1 whose branches don't fork: 35x35 and 17x17."""
        parts = [
            self.conv(f"{name}.conv1x1.conv1", x),
            self.row(f"{name}.{five}", x, count=five_count),
            self.row(f"{name}.{double}", x, count=count),
            self.pooled(name, x),
        ]
        return torch.cat(parts, 1)

    def forked(self, name: str, x: Tensor) -> Tensor:
        """A module of 8x8."""
        parts = [self.conv(f"{name}.conv1x1.conv1", x)]
        for branch, count in (("conv3x3", 1), ("double3x3", 2)):
            y = self.row(f"{name}.{branch}", x, count=count)
            parts += [self.conv(f"{name}.{branch}.fork.conv{i}", y) for i in (1, 2)]
        return torch.cat([*parts, self.pooled(name, x)], 1)

    def trunk(self, x: Tensor) -> Tensor:
        """Up to Mixed_6e."""
        x = self.conv("stem.Conv2d_1a_3x3", x, 2)
        x = self.conv("stem.Conv2d_2a_3x3", x, valid=True)
        x = F.max_pool2d(self.conv("stem.Conv2d_2b_3x3", x), 3, 2)
        x = self.conv("stem.Conv2d_3b_1x1", x)
        x = F.max_pool2d(self.conv("stem.Conv2d_4a_3x3", x, valid=True), 3, 2)
        for letter in "bcd":
            x = self.even(f"stages.Mixed_5{letter}", x, "conv5x5", 2, "double3x3", 3)
        x = self.reduction("stages.Mixed_6a", x, "conv3x3", "double3x3")
        for letter in "bcde":
            x = self.even(f"stages.Mixed_6{letter}", x, "conv7x7", 3, "double7x7", 5)
        return x

    def logits(self, x: Tensor) -> Tensor:
        x = self.reduction("stages.Mixed_7a", x, "conv3x3", "conv7x7")
        for letter in "bc":
            x = self.forked(f"stages.Mixed_7{letter}", x)
        return F.linear(x.mean((2, 3)), self.state["head.fc.weight"], self.state["head.fc.bias"])

    def side(self, x: Tensor) -> Tensor:
        x = self.conv("sides.aux.conv1", F.avg_pool2d(x, 5, 3))
        x = self.conv("sides.aux.conv2", x, valid=True).mean((2, 3))
        return F.linear(x, self.state["sides.aux.fc.weight"], self.state["sides.aux.fc.bias"])


def drawn(**options) -> nn.Module:
    """Build the net with random weights, biases and statistics; quicker than its own draw."""
    model = build_meta("inception_v3", **options).to_empty(device="cpu").eval()
    for name, tensor in model.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            tensor.uniform_(-0.1, 0.1)
        elif tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5)
        elif tensor.dim() > 1:
            tensor.normal_(0.0, (2 / tensor[0].numel()) ** 0.5)
    return model


@pytest.mark.parametrize("count_padding", [True, False])
def test_the_function_is_that_of_a_plain_re_implementation(count_padding):
    torch.manual_seed(0)
    model = drawn(num_classes=7, count_padding=count_padding)
    plain, x = Plain(model.state_dict(), count_padding), torch.randn(2, 3, 75, 107)
    with torch.no_grad():
        torch.testing.assert_close(model(x), plain.logits(plain.trunk(x)), rtol=1e-4, atol=1e-4)


def test_the_side_classifier_sees_6e_and_counts_for_0_4():
    torch.manual_seed(1)
    model = drawn(num_classes=5, sides=True)
    plain, x = Plain(model.state_dict()), torch.randn(1, 3, 299, 299)
    with torch.no_grad():
        logits, (side,) = model.forward_with_sides(x)
        maps = plain.trunk(x)
        torch.testing.assert_close(logits, plain.logits(maps), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(side.logits, plain.side(maps), rtol=1e-4, atol=1e-4)
    assert side.weight == 0.4


def test_the_default_network_has_no_side_parameters():
    plain, with_sides = build_meta("inception_v3"), build_meta("inception_v3", sides=True)
    added = with_sides.state_dict().keys() - plain.state_dict().keys()
    assert all(name.startswith("sides.aux.") for name in added)
    with pytest.raises(InputError, match="build it with sides=True"):
        plain.forward_with_sides(torch.empty(1, 3, 299, 299, device="meta"))


def test_training_with_the_side_reaches_every_parameter():
    model = build_meta("inception_v3", num_classes=3, sides=True)
    logits, (side,) = model.forward_with_sides(torch.empty(2, 3, 299, 299, device="meta"))
    (logits.sum() + side.weight * side.logits.sum()).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_the_least_image():
    model = build_meta("inception_v3", sides=True).eval()
    assert model(torch.empty(1, 3, 75, 75, device="meta")).shape == (1, 1000)
    with pytest.raises(InputError, match=r"at least 75x75, the least for stages\.Mixed_7a"):
        model(torch.empty(1, 3, 75, 74, device="meta"))
    with pytest.raises(RuntimeError):  # that layer itself
        model.stages(model.stem(torch.empty(1, 3, 75, 74, device="meta")))
    _, (side,) = model.forward_with_sides(torch.empty(1, 3, 299, 320, device="meta"))
    assert side.logits.shape == (1, 1000)
    with pytest.raises(InputError, match=r"at least 299x299, the least for sides\.aux\.conv2"):
        model.forward_with_sides(torch.empty(1, 3, 298, 320, device="meta"))


def test_initialization_is_that_of_the_released_code():
    torch.manual_seed(2)
    model = build("inception_v3", sides=True)
    deviations = {
        "stages.Mixed_6e.double7x7.conv5.conv": 0.1,
        "head.fc": 0.1,
        "sides.aux.conv1.conv": 0.1,
        "sides.aux.conv2.conv": 0.01,
        "sides.aux.fc": 0.001,
    }
    for name, std in deviations.items():
        weight = model.get_submodule(name).weight
        assert weight.abs().max() <= 2 * std
        # cut at two deviations, a normal distribution has 0.880 of its deviation
        assert weight.std().item() == pytest.approx(0.880 * std, rel=0.01)
    assert not model.head.fc.bias.any()


def test_a_dropout_of_everything_is_refused():
    with pytest.raises(InputError, match="dropout must be at least 0 and less than 1, not 1"):
        build_meta("inception_v3", dropout=1)


def test_the_rate_falls_by_6_percent_every_two_epochs():
    recipe = RECIPES["imagenet"]
    for epoch in range(recipe.epochs):
        assert recipe.schedule(epoch) == pytest.approx(0.94 ** (epoch // 2))
