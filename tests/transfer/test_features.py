"""Taps inside a network: what its layers give, and no trace left behind."""

import pytest
import torch
from torch import Tensor, nn

import convatlas as ca
from convatlas.errors import InputError, UnknownNameError
from convatlas.transfer.features import features

STAGES = ["stages.stage1", "stages.stage2", "stages.stage3"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ca.create("resnet8_cifar").eval()


@pytest.fixture(scope="module")
def image():
    return torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Small(nn.Module):
    """Plain layers that overwrite their input, and one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.act = nn.ReLU(inplace=True)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.unused = nn.Linear(1, 1)
        self.pair = Pair()
        self.same = self.twice

    def forward(self, x: Tensor) -> Tensor:
        try:
            x = self.act(self.first(x))
            x += 1
            return self.pair(self.twice(self.twice(x)))[0]
        except Exception:
            return torch.zeros(1)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_the_outputs_are_those_of_the_layers(model, image):
    found = features(model, image, STAGES)
    x = model.stem(image)
    for name in STAGES:
        x = model.get_submodule(name)(x)
        assert torch.equal(found[name], x)
    assert [found[name].shape[1:] for name in STAGES] == [(16, 16, 16), (32, 8, 8), (64, 4, 4)]


def test_the_order_is_the_callers_and_names_may_nest(model, image):
    at = ["stages.stage3", "stem", "stages.stage3.0", "stages"]
    found = features(model, image, at)
    assert list(found) == at
    assert torch.equal(found["stages"], found["stages.stage3"])


def test_every_stage_of_a_paper_can_be_tapped():
    for name, stages, size in (
        ("resnet18", ["stages.conv2_x", "stages.conv5_x"], 64),
        ("squeezenet1_1", ["stages.fire4", "stages.fire9"], 64),
        ("vgg11", ["stages.block1", "stages.block5.relu5_2"], 224),
    ):
        with torch.device("meta"):
            net, x = ca.create(name), torch.empty(1, 3, size, size)
        found = features(net, x, stages)
        assert all(found[stage].dim() == 4 for stage in stages)


def test_nothing_runs_behind_the_last_layer(model, image):
    ran = []
    handles = [
        layer.register_forward_hook(lambda *_at, name=name: ran.append(name))
        for name, layer in model.named_modules()
    ]
    features(model, image, ["stages.stage1.0.conv2"])
    for handle in handles:
        handle.remove()
    assert "stages.stage1.0.conv1" in ran
    assert not any("stage2" in name or "head" in name for name in ran)


def test_a_layer_in_place_does_not_change_what_was_found(image):
    small = Small()
    found = features(small, image, ["first", "act", "twice"])
    assert torch.equal(found["first"], small.first(image))
    assert (found["first"] < 0).any()
    assert torch.equal(found["act"], found["first"].relu())
    assert torch.equal(found["twice"], small.twice(found["act"] + 1))  # of its first run


def test_one_layer_may_have_two_names(image):
    found = features(Small(), image, ["twice", "same"])
    assert torch.equal(found["twice"], found["same"])


def test_gradients_flow_to_the_image_and_the_weights(model, image):
    x = image.clone().requires_grad_()
    found = features(model, x, STAGES)
    sum(maps.sum() for maps in found.values()).backward()
    assert x.grad is not None
    assert model.stem.conv1.conv.weight.grad is not None
    assert model.head.fc.weight.grad is None
    model.zero_grad(set_to_none=True)


def test_the_model_stays_as_it_was(model, image):
    logits = model(image)
    kept = model.stem.register_forward_hook(lambda *_at: None)
    features(model, image, STAGES)
    assert hooks(model) == 1
    kept.remove()
    assert not model.training
    assert torch.equal(model(image), logits)


@pytest.mark.parametrize("at", [["pair"], ["unused"], ["first", "pair", "unused"]])
def test_hooks_go_when_it_fails(image, at):
    small = Small()
    with pytest.raises(InputError):
        features(small, image, at)
    assert hooks(small) == 0
    with pytest.raises(RuntimeError):
        features(nn.Sequential(small, nn.Linear(2, 2)), torch.zeros(3), ["1"])
    assert hooks(small) == 0


def test_a_compiled_network_can_be_tapped(model, image):
    compiled = torch.compile(model, backend="eager")
    assert torch.equal(
        features(compiled, image, STAGES)[STAGES[0]], model.stages[0](model.stem(image))
    )


@pytest.mark.parametrize(
    ("at", "error", "message"),
    [
        (["conv4_x"], UnknownNameError, "no layer of ResNet named 'conv4_x'"),
        (["stages.stage4"], UnknownNameError, "did you mean: stages.stage"),
        ([""], UnknownNameError, "no layer of ResNet named ''"),
        ([], InputError, "at lists the names of layers, such as ['stem']; got none"),
        ("stages.stage1", InputError, "did you mean: stages.stage1"),
    ],
)
def test_bad_names_come_with_near_ones(model, image, at, error, message):
    with pytest.raises(error) as caught:
        features(model, image, at)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (["pair"], "gives tuple, not a tensor"),
        (["unused"], "'unused' does not run in the forward pass of Small"),
    ],
)
def test_layers_without_a_tensor_are_named(image, at, message):
    small = Small()
    small.forward = lambda x: small.pair(small.first(x))[0]  # errors are not caught here
    with pytest.raises(InputError, match=message):
        features(small, image, at)
