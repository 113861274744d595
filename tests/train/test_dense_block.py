"""Dense blocks with their maps in one place: what torch's concatenations give."""

import copy

import pytest
import torch
from layer_pass import gradients
from torch import Tensor, nn

from convatlas.catalog import build, spec_of
from convatlas.native.build import no_compiler
from convatlas.train import dense_block
from convatlas.train.dense_block import find_dense_blocks
from convatlas.train.fused import computed, find_fused


@pytest.fixture(autouse=True, scope="module")
def compiler():
    if no_compiler():
        pytest.skip(no_compiler())


def block(name: str = "densenet40_k12_cifar") -> nn.Sequential:
    """A dense block of three layers, with norms that do something."""
    torch.manual_seed(0)
    found = build(name).stages.dense1[:3]
    for module in found.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return found


def learn(model: nn.Module, x: Tensor, fused: bool) -> dict[str, Tensor]:
    """Give output, gradients and statistics after one pass."""
    names = ["y", "x", *(name for name, _ in model.named_parameters())]
    found = dict(zip(names, gradients(model, x, fused), strict=True))
    statistics = {name: one.clone() for name, one in model.named_buffers()}
    return found | statistics


def far(found: dict[str, Tensor], exact: dict[str, Tensor]) -> float:
    """Give the largest error, as a part of the largest value of its tensor."""
    assert found.keys() == exact.keys()
    return max(
        float((found[key] - exact[key]).abs().max() / exact[key].abs().max().clamp(min=1e-3))
        for key in exact
    )


@pytest.mark.parametrize("name", ["densenet40_k12_cifar", "densenet_bc100_k12_cifar"])
@pytest.mark.parametrize("size", [(4, 9, 7), (3, 1, 5), (9, 1, 1)])
def test_a_block_learns_as_with_torch(name, size):
    model = block(name)
    assert find_dense_blocks(model)
    channels = model[0].composite[0].num_features
    x = torch.randn(size[0], channels, *size[1:])
    exact = learn(copy.deepcopy(model).double(), x.double(), fused=False)
    found = learn(model, x, fused=True)
    assert far(found, exact) < 1e-4


def test_a_whole_network_learns_as_with_torch():
    torch.manual_seed(0)
    model = build("densenet_bc100_k12_cifar")
    model.head.apply(lambda one: isinstance(one, nn.Linear) and nn.init.normal_(one.weight))
    x = torch.randn(4, 3, 32, 32)
    exact = learn(copy.deepcopy(model).double(), x.double(), fused=False)
    plain = learn(copy.deepcopy(model), x, fused=False)
    found = learn(model, x, fused=True)
    assert far(found, exact) < 4 * far(plain, exact) + 1e-4


def test_bfloat16_is_as_near_as_torch_is():
    model = block("densenet_bc100_k12_cifar")
    channels = model[0].composite[0].num_features
    x = torch.randn(4, channels, 12, 12).bfloat16()
    exact = learn(copy.deepcopy(model).double(), x.double(), fused=False)
    with torch.autocast("cpu", torch.bfloat16):
        plain = learn(copy.deepcopy(model), x, fused=False)
        found = learn(model, x, fused=True)
    assert found["y"].dtype == torch.bfloat16
    assert far(found, exact) < 1.5 * far(plain, exact) + 0.02


def test_twice_back_gives_twice_the_gradient():
    model = block()
    x = torch.randn(4, model[0].composite[0].num_features, 8, 8).requires_grad_()
    with computed(find_fused(model)):
        y = model(x)
    y.sum().backward(retain_graph=True)
    once = x.grad.clone()
    y.sum().backward()
    torch.testing.assert_close(x.grad, 2 * once)


def test_a_frozen_first_layer_and_images_without_gradient():
    model = block()
    model[0].requires_grad_(False)
    x = torch.randn(4, model[0].composite[0].num_features, 8, 8)
    plain = copy.deepcopy(model)
    with computed(find_fused(model)):
        model(x).square().sum().backward()
    plain(x).square().sum().backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-3)


def test_what_must_be_seen_is_computed_by_torch(monkeypatch):
    monkeypatch.setattr(dense_block._Enter, "apply", None)
    model = block()
    x, seen = torch.randn(4, model[0].composite[0].num_features, 8, 8), []
    hook = model[1].register_forward_hook(lambda *given: seen.append(given[2].shape[1]))
    with computed(find_fused(model)):
        model(x)
        hook.remove()
        model.eval()(x)
    assert seen == [
        model[1].composite[0].num_features + spec_of("densenet40_k12_cifar").growth_rate
    ]


def test_other_sequences_stay_as_they_are():
    assert not find_dense_blocks(nn.Sequential(nn.Sequential(), nn.ReLU()))
    frugal = build("densenet40_k12_cifar", memory_efficient=True)
    assert not find_dense_blocks(frugal)


def test_gradients_are_let_go_after_the_way_back():
    model = block()
    x = torch.randn(4, model[0].composite[0].num_features, 8, 8).requires_grad_()
    rooms = []
    with pytest.MonkeyPatch.context() as patch:
        room = dense_block._Room
        patch.setattr(dense_block, "_Room", lambda *given: rooms.append(room(*given)) or rooms[0])
        with computed(find_fused(model)):
            loss = model(x).sum()
        loss.backward()
    assert rooms[0].gradient is None
