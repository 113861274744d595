"""Guided backpropagation and deconvnet against the papers' rules, written out."""

import pytest
import torch
from explained_nets import WAYS, Written, assert_same, images, small_network, state_of
from torch import Tensor, nn
from torch.nn import functional as F

import convatlas as ca
from convatlas.errors import InputError
from convatlas.visualize.backward_rules import Rule, ruled
from convatlas.visualize.deconvnet import deconvnet, deconvnet_map
from convatlas.visualize.guided_backprop import guided_backprop
from convatlas.visualize.scores import input_gradients


@pytest.mark.parametrize(
    ("rule", "expected"), [("deconvnet", (3.0, 3, 0, 0)), ("guided", (3.0, 0, 0, 0))]
)
def test_the_rules_of_the_papers(rule: Rule, expected: tuple[float, ...]) -> None:
    """Four ReLUs with every pair of signs, as figure 1 of Springenberg et al. 2014."""
    x = torch.tensor([1.0, -1, 2, -2], requires_grad=True)
    with ruled(nn.ReLU(), rule):
        y = torch.relu(x)
    assert torch.equal(y, torch.tensor([1.0, 0, 2, 0]))
    (found,) = torch.autograd.grad(y, x, torch.tensor([3.0, 3, -3, -3]))
    assert found.tolist() == list(expected)


@pytest.mark.parametrize("method", [guided_backprop, deconvnet])
@pytest.mark.parametrize("way", WAYS)
def test_modules_functions_and_operations_in_place_are_seen_alike(method, way: str) -> None:
    expected = method(Written("module"), images(), 1)
    network = Written(way)
    network.train()
    before = state_of(network)
    assert torch.equal(method(network, images(), 1), expected)
    assert_same(before, state_of(network))


def test_a_network_may_read_what_was_changed_in_place() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            F.relu(y, inplace=True)
            return y.mean(dim=(2, 3))

    torch.manual_seed(0)
    reader = Reader()
    conv, x = reader.conv, images().float()
    expected = guided_backprop(nn.Sequential(conv, nn.ReLU(), Mean()), x, 0)
    torch.testing.assert_close(guided_backprop(reader, x, 0), expected)


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_they_equal_the_papers_layers_run_backwards(rule: Rule) -> None:
    """Unpooling with switches, rectification, transposed filters (ZF section 2.1)."""
    network, x = small_network(), images(1)
    conv1, _, _, conv2, _, _, _, fc = network
    before1 = conv1(x)
    pooled1, switches1 = F.max_pool2d(before1.relu(), 2, return_indices=True)
    before2 = conv2(pooled1)
    pooled2, switches2 = F.max_pool2d(before2.relu(), 2, return_indices=True)

    def rectified(signal: Tensor, before: Tensor) -> Tensor:
        passes = before > 0 if rule == "guided" else torch.ones_like(before)
        return signal.clamp(min=0) * passes

    signal = fc.weight[2].reshape(pooled2.shape)
    signal = rectified(F.max_unpool2d(signal, switches2, 2), before2)
    signal = F.conv_transpose2d(signal, conv2.weight, padding=1)
    signal = rectified(F.max_unpool2d(signal, switches1, 2), before1)
    expected = F.conv_transpose2d(signal, conv1.weight, padding=1)
    method = guided_backprop if rule == "guided" else deconvnet
    torch.testing.assert_close(method(network, x, 2), expected)


def test_one_map_is_projected_from_its_strongest_place() -> None:
    network, x = small_network(), images(1)
    conv1, _, _, conv2, *_ = network
    before1 = conv1(x)
    pooled, switches = F.max_pool2d(before1.relu(), 2, return_indices=True)
    active = conv2(pooled).relu()
    alone = torch.zeros_like(active)
    place = active[0, 3].argmax()
    alone[0, 3].view(-1)[place] = active[0, 3].view(-1)[place]
    signal = F.conv_transpose2d(alone, conv2.weight, padding=1)
    signal = F.max_unpool2d(signal, switches, 2).clamp(min=0)
    expected = F.conv_transpose2d(signal, conv1.weight, padding=1)
    before = state_of(network)
    torch.testing.assert_close(deconvnet_map(network, x, "4", 3), expected)
    assert_same(before, state_of(network))


@pytest.mark.parametrize(
    ("layer", "index", "message"),
    [("4", 5, "no map 5 in layer '4'; it has 5, from 0"), ("7", 0, "not maps"), ("9", 0, "no lay")],
)
def test_a_map_that_is_not_there_is_refused(layer: str, index: int, message: str) -> None:
    network = small_network()
    with pytest.raises((InputError, KeyError), match=message):
        deconvnet_map(network, images(1), layer, index)
    assert not any(module._forward_hooks for module in network.modules())


def test_local_response_normalization_is_skipped_by_a_deconvnet() -> None:
    torch.manual_seed(0)
    conv, act, norm = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.LocalResponseNorm(3, alpha=1.0)
    x = images().float()
    bare = deconvnet(nn.Sequential(conv, act, Mean()), x, 1)
    torch.testing.assert_close(deconvnet(nn.Sequential(conv, act, norm, Mean()), x, 1), bare)
    guided = guided_backprop(nn.Sequential(conv, act, norm, Mean()), x, 1)
    assert not torch.allclose(guided, guided_backprop(nn.Sequential(conv, act, Mean()), x, 1))


@pytest.mark.parametrize("act", [nn.Tanh(), nn.SiLU(), nn.SiLU(inplace=True), nn.GELU(), nn.ELU()])
def test_another_activation_takes_its_own_slope(act: nn.Module) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3).double()
    network, x = nn.Sequential(conv, act, Mean()), images()
    # the signal that reaches the activation is positive: guided is the gradient
    torch.testing.assert_close(guided_backprop(network, x, 1), input_gradients(network, x, 1))


@pytest.mark.parametrize("method", [guided_backprop, deconvnet])
def test_a_network_without_activations_is_refused(method) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), Mean())
    with pytest.raises(InputError, match="in Sequential none was seen"):
        method(network, images().float(), 1)


@pytest.mark.parametrize("method", [guided_backprop, deconvnet])
def test_an_error_inside_ends_the_rule(method) -> None:
    with pytest.raises(RuntimeError):
        method(small_network(), images(channels=2), 1)
    x = torch.tensor([-1.0, 1.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(torch.relu(x).sum(), x)
    assert gradient.tolist() == [0, 1]


def test_without_relu_or_pooling_between_a_deconvnet_is_the_gradient() -> None:
    """Positive weights above the only ReLU, which is on everywhere, change no signal."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3).double()
    with torch.no_grad():
        conv.bias.fill_(100.0)  # type: ignore[union-attr]
    network = nn.Sequential(conv, nn.ReLU(), Mean())
    expected = input_gradients(network, images(), 1)
    torch.testing.assert_close(deconvnet(network, images(), 1), expected)


@pytest.mark.parametrize("name", ["alexnet", "lenet5", "efficientnet_b0", "resnet20_cifar"])
def test_the_catalog_s_activations_are_seen(name: str) -> None:
    variant = ca.find(name)[1]
    torch.manual_seed(0)
    network = ca.create(name)
    channels, *size = variant.input_shape
    found = guided_backprop(network, torch.randn(1, channels, *size))
    assert found.shape == (1, channels, *size)
    assert found.abs().max() > 0
