"""Batch norm with its activation as one operation: the same values, gradients and statistics."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convatlas.architectures.resnet import BasicBlock, Bottleneck
from convatlas.catalog import build
from convatlas.native import build as native_build
from convatlas.native.build import no_compiler
from convatlas.train import native_code, norm_act
from convatlas.train.fused import computed, find_fused
from convatlas.train.learner import Learner
from convatlas.train.losses import make_loss
from convatlas.train.norm_act import find_pairs, find_sums


@pytest.fixture(autouse=True)
def compiler():
    if no_compiler():
        pytest.skip(no_compiler())


def network(act: nn.Module, channels: int) -> nn.Sequential:
    torch.manual_seed(channels)
    norm = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.3)
    with torch.no_grad():
        norm.weight.uniform_(-1, 1.5)
        norm.bias.uniform_(-1, 1)
        norm.running_mean.normal_()
    return nn.Sequential(norm, act)


def learn(model: nn.Module, x, gradient, fused: bool) -> list[torch.Tensor]:
    """Give the output, the gradients and the statistics after one pass."""
    x = x.clone().requires_grad_()
    with computed(find_fused(model) if fused else []):
        y = model(x)
    y.backward(gradient)
    norm = model[0]
    kept = norm.running_mean, norm.running_var, norm.num_batches_tracked
    return [y.detach(), x.grad, norm.weight.grad, norm.bias.grad, *kept]


@pytest.mark.parametrize("act", [nn.ReLU(), nn.SiLU()])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (3, 64, 9, 9), (2, 200, 3, 3), (1, 17, 1, 2)])
def test_it_computes_what_both_do(act, shape):
    x, gradient = torch.randn(shape) * 3 + 5, torch.randn(shape)
    model = network(act, shape[1]).double()
    exact = learn(model, x.double(), gradient.double(), fused=False)
    found = learn(network(act, shape[1]), x, gradient, fused=True)
    for a, b in zip(exact, found, strict=True):
        torch.testing.assert_close(b.to(a), a, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("act", [nn.ReLU(), nn.SiLU()])
def test_bfloat16_is_as_near_as_torch_is(act):
    x, gradient = torch.randn(4, 24, 10, 10).bfloat16(), torch.randn(4, 24, 10, 10).bfloat16()
    exact = learn(network(act, 24).double(), x.double(), gradient.double(), fused=False)
    plain = learn(network(act, 24), x, gradient, fused=False)
    found = learn(network(act, 24), x, gradient, fused=True)
    for a, b, c in zip(exact, plain, found, strict=True):
        scale = a.double().abs().max()
        far = (c.double() - a.double()).abs().max() / scale
        assert far <= max(1.5 * (b.double() - a.double()).abs().max() / scale, 1e-5)


def test_threads_do_not_change_the_bits():
    x, gradient = torch.randn(8, 48, 33, 33), torch.randn(8, 48, 33, 33)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(learn(network(nn.ReLU(), 48), x, gradient, fused=True))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("out", [8, 12])  # 12: the shortcut is a projection
@pytest.mark.parametrize("make", [BasicBlock, Bottleneck])
def test_a_residual_block_is_what_it_was(make, out, kind):
    torch.manual_seed(0)
    model, x, found = make(8, 8, out, 1), torch.randn(3, 8, 7, 5), []
    for fused in (False, True):
        one, images = copy.deepcopy(model), x.clone().requires_grad_()
        assert find_sums(one)
        with (
            torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16),
            computed(find_fused(one) if fused else []),
        ):
            y = one(images)
        y.float().square().mean().backward()
        found.append([y, images.grad, *(w.grad for w in one.parameters()), *one.buffers()])
    near = 1e-4 if kind == torch.float32 else 0.03
    for plain, ours in zip(*found, strict=True):
        assert (ours.double() - plain.double()).norm() <= near * plain.double().norm()


def test_blocks_of_other_kinds_stay_as_they_are():
    assert find_sums(build("resnet8_cifar"))
    assert not find_sums(build("plain20_cifar"))
    assert not find_sums(build("preact_resnet110_cifar"))


def test_what_is_not_finite_stays_so():
    x = torch.randn(2, 4, 3, 3)
    x[0, 1, 1, 1] = float("nan")
    y = learn(network(nn.ReLU(), 4), x, torch.ones_like(x), fused=True)[0]
    assert y[:, 1].isnan().all()
    assert not y[:, 0].isnan().any()


@pytest.mark.parametrize("name", ["resnet20_cifar", "densenet_bc40_k12_cifar"])
def test_a_network_learns_as_in_float64(name):
    torch.manual_seed(0)
    model = build(name)
    images, labels = torch.randn(4, 3, 32, 32), torch.arange(4)
    exact = copy.deepcopy(model).double()
    F.cross_entropy(exact(images.double()), labels).backward()
    learner = Learner(model, make_loss("cross_entropy"), fused=True)
    assert learner.fused
    learner(images, labels)[0].backward()
    assert all("forward" not in vars(module) for module in model.modules())
    expected, found = (
        torch.cat([weight.grad.double().flatten() for weight in one.parameters()])
        for one in (exact, model)
    )
    # a value near 0 may fall on the other side of a ReLU: torch's own layers are as far
    assert (found - expected).norm() < 5e-3 * expected.norm()
    for (path, ours), buffer in zip(model.named_buffers(), exact.buffers(), strict=True):
        torch.testing.assert_close(ours.to(buffer), buffer, rtol=1e-3, atol=1e-5, msg=path)


def test_frozen_norms_and_other_inputs_take_torch(monkeypatch):
    monkeypatch.setattr(norm_act._Norm, "apply", None)
    model = network(nn.ReLU(), 6)
    x = torch.randn(2, 6, 4, 4)
    with computed(find_fused(model)):
        wide = model.double()(x.double())
        found = model.float().eval()(x)
    assert wide.dtype == torch.float64
    assert torch.equal(found, F.relu(model[0](x)))


def test_one_value_is_refused_as_torch_does():
    model = network(nn.ReLU(), 6)
    with computed(find_fused(model)), pytest.raises(ValueError, match="more than 1 value"):
        model(torch.randn(1, 6, 1, 1))


def test_other_layers_stay_as_they_are(monkeypatch):
    free = nn.BatchNorm2d(3, momentum=None)
    assert not find_pairs(nn.Sequential(free, nn.ReLU()))
    assert not find_pairs(nn.Sequential(nn.BatchNorm2d(3, affine=False), nn.ReLU()))
    assert not find_pairs(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(inplace=True)))
    assert not find_pairs(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.ReLU()))
    assert find_pairs(network(nn.ReLU(), 3))


def test_without_a_compiler_torch_computes(monkeypatch):
    monkeypatch.setattr(native_build, "_compiler", list)
    native_code._code.cache_clear()
    assert find_pairs(network(nn.ReLU(), 3)) == []
    monkeypatch.undo()
    assert find_pairs(network(nn.ReLU(), 3))


def test_wrong_maps_meet_the_error_of_torch():
    model = network(nn.ReLU(), 6)
    with computed(find_fused(model)), pytest.raises(RuntimeError):
        model(torch.randn(2, 64, 4, 4))


def test_a_hook_on_a_norm_sees_what_the_norm_gives():
    model, seen = network(nn.ReLU(), 6), []
    model[0].register_forward_hook(lambda *given: seen.append(given[2]))
    x = torch.randn(2, 6, 4, 4)
    with computed(find_fused(model)):
        model(x)
    assert seen[0].min() < 0
