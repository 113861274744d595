"""Inception-v4: what only this paper says of its network (Szegedy et al. 2016)."""

import pytest
import torch
from plain import PlainInception
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convatlas.catalog import build, build_meta
from convatlas.errors import InputError
from convatlas.recipes import inception_v3
from convatlas.recipes.inception_v4 import RECIPES

# maps, height and width of Figures 3 and 9, at 299x299
LEAVING = {
    "conv1": (32, 149),
    "conv2": (32, 147),
    "conv3": (64, 147),
    "concat1": (160, 73),
    "concat2": (192, 71),
    "concat3": (384, 35),
    "inception_a": (384, 35),
    "reduction_a": (1024, 17),
    "inception_b": (1024, 17),
    "reduction_b": (1536, 8),
    "inception_c": (1536, 8),
}


def test_parameters_multiply_adds_and_maps_are_exact():
    model, seen = build_meta("inception_v4").eval(), {}
    for name, layer in (*model.stem.named_children(), *model.stages.named_children()):
        layer.register_forward_hook(lambda *at, name=name: seen.update({name: at[2].shape}))
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, 299, 299, device="meta"))
    assert sum(p.numel() for p in model.parameters()) == 42_679_816
    assert counter.get_total_flops() // 2 == 12_253_974_624
    assert {name: (shape[1], shape[2]) for name, shape in seen.items()} == LEAVING


def test_four_seven_and_three_modules_stand_in_a_row():
    stages = build_meta("inception_v4").stages
    counts = [len(stages.get_submodule(f"inception_{letter}")) for letter in "abc"]
    assert counts == [4, 7, 3]


class Plain(PlainInception):
    """The net written out, layer after layer."""

    def stem(self, x: Tensor) -> Tensor:
        x = self.conv("stem.conv1", x, 2)
        x = self.conv("stem.conv3", self.conv("stem.conv2", x, valid=True))
        x = torch.cat([F.max_pool2d(x, 3, 2), self.conv("stem.concat1.conv3x3.conv1", x, 2)], 1)
        short = self.conv("stem.concat2.conv3x3.conv1", x)
        long = self.row("stem.concat2.conv7x7", x, count=3)
        short = self.conv("stem.concat2.conv3x3.conv2", short, valid=True)
        long = self.conv("stem.concat2.conv7x7.conv4", long, valid=True)
        x = torch.cat([short, long], 1)
        return torch.cat([self.conv("stem.concat3.conv3x3.conv1", x, 2), F.max_pool2d(x, 3, 2)], 1)

    def module(self, name: str, x: Tensor, rows: dict[str, int], forks: tuple[str, ...]) -> Tensor:
        parts = []
        for branch, count in rows.items():
            y = self.row(f"{name}.{branch}", x, count=count)
            if branch in forks:
                parts += [self.conv(f"{name}.{branch}.fork.conv{i}", y) for i in (1, 2)]
            else:
                parts.append(y)
        average = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return torch.cat([*parts, self.conv(f"{name}.pool.conv1", average)], 1)

    def __call__(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for i in range(1, 5):
            rows = {"conv1x1": 1, "conv3x3": 2, "double3x3": 3}
            x = self.module(f"stages.inception_a.inception_a{i}", x, rows, ())
        x = self.reduction("stages.reduction_a", x, "conv3x3", "double3x3")
        for i in range(1, 8):
            rows = {"conv1x1": 1, "conv7x7": 3, "double7x7": 5}
            x = self.module(f"stages.inception_b.inception_b{i}", x, rows, ())
        x = self.reduction("stages.reduction_b", x, "conv3x3", "conv7x7")
        for i in range(1, 4):
            rows, forks = {"conv1x1": 1, "conv3x3": 1, "double3x3": 3}, ("conv3x3", "double3x3")
            x = self.module(f"stages.inception_c.inception_c{i}", x, rows, forks)
        return F.linear(x.mean((2, 3)), self.state["head.fc.weight"], self.state["head.fc.bias"])


def drawn(**options) -> nn.Module:
    """Build the net with random weights, biases and statistics."""
    model = build_meta("inception_v4", **options).to_empty(device="cpu").eval()
    for name, tensor in model.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            tensor.uniform_(-0.1, 0.1)
        elif tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5)
        elif tensor.dim() > 1:
            tensor.normal_(0.0, (2 / tensor[0].numel()) ** 0.5)
    return model


def test_the_function_is_that_of_a_plain_re_implementation():
    torch.manual_seed(0)
    model, x = drawn(num_classes=7), torch.randn(2, 3, 75, 107)
    with torch.no_grad():
        torch.testing.assert_close(model(x), Plain(model.state_dict())(x), rtol=1e-4, atol=1e-4)


def test_the_least_image():
    model = build_meta("inception_v4").eval()
    assert model(torch.empty(1, 3, 75, 75, device="meta")).shape == (1, 1000)
    with pytest.raises(InputError, match=r"at least 75x75, the least for stages\.reduction_b"):
        model(torch.empty(1, 3, 74, 75, device="meta"))
    with pytest.raises(RuntimeError):  # that layer itself
        model.stages(model.stem(torch.empty(1, 3, 74, 75, device="meta")))


@pytest.mark.slow
def test_initialization_keeps_the_variance_of_relus():
    torch.manual_seed(1)
    model = build("inception_v4")
    for weights in (model.stem.conv2.conv.weight, model.head.fc.weight):
        std = (2 / weights[0].numel()) ** 0.5
        assert weights.std().item() == pytest.approx(std, rel=0.02)
    assert not model.head.fc.bias.any()


def test_the_dropout_keeps_80_percent_and_can_be_set():
    assert build_meta("inception_v4").head.dropout.p == 0.2
    assert build_meta("inception_v4", dropout=0.5).head.dropout.p == 0.5
    with pytest.raises(InputError, match=r"dropout must be at least 0 and less than 1, not -0\.1"):
        build_meta("inception_v4", dropout=-0.1)


def test_the_rate_is_that_of_inception_v3():
    ours, theirs = RECIPES["imagenet"], inception_v3.RECIPES["imagenet"]
    assert ours.optimizer == theirs.optimizer
    assert all(ours.schedule(epoch) == theirs.schedule(epoch) for epoch in range(theirs.epochs))
