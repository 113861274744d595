"""Small networks and checks that the tests of all explanations share."""

import copy
from collections.abc import Collection
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.catalog import find, variants


def classifiers(fast: Collection[str]) -> list[Any]:
    """Name every classifier of the catalog; those that are not `fast` are for the slow tests."""
    return [
        pytest.param(name, marks=() if name in fast else pytest.mark.slow)
        for name in variants()
        if find(name)[0].name != "unet"
    ]


@torch.no_grad()
def settle_norms(network: nn.Module, shape: tuple[int, ...]) -> None:
    """Teach the norms of a fresh network its signals: over 1,202 layers they would overflow."""
    norms = [
        m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.track_running_stats
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    network.train()(torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def images(count: int = 2, side: int = 12, channels: int = 3, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, side, side, generator=generator, dtype=torch.float64)


def small_network(seed: int = 0, classes: int = 4, side: int = 12) -> nn.Sequential:
    """Convolutions, ReLUs, poolings, in float64 so that identities can be exact."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(5 * (side // 4) ** 2, classes),
    ).double()


class Written(nn.Module):
    """A user's network: its activations are modules, functions or operations in place."""

    def __init__(self, way: str, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv1 = nn.Conv2d(3, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 6, 3)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(6, 4)
        self.way = way
        self.acts = nn.ModuleList(nn.ReLU(inplace=way == "module in place") for _ in range(2))
        self.double()

    def act(self, x: Tensor, index: int) -> Tensor:
        return {
            "module": self.acts[index],
            "module in place": self.acts[index],
            "functional": F.relu,
            "functional in place": lambda x: F.relu(x, inplace=True),
            "torch": torch.relu,
            "keyword": lambda x: torch.relu(input=x),
            "method": lambda x: x.relu(),
            "method in place": lambda x: x.relu_(),
            "clamp": lambda x: x.clamp(min=0),
            "clamp_min": lambda x: torch.clamp_min(x, 0),
        }[self.way](x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.conv1(x)), 0)
        return self.fc(self.drop(self.act(self.conv2(x), 1)).mean(dim=(2, 3)))


WAYS = (
    "module",
    "module in place",
    "functional",
    "functional in place",
    "torch",
    "keyword",
    "method",
    "method in place",
    "clamp",
    "clamp_min",
)


def state_of(model: nn.Module) -> dict[str, Any]:
    """Give all that an explanation must leave as it was."""
    return {
        "modes": [m.training for m in model.modules()],
        "hooks": [(len(m._forward_hooks), len(m._backward_hooks)) for m in model.modules()],
        "wants": [p.requires_grad for p in model.parameters()],
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "values": copy.deepcopy(model.state_dict()),
        "random": torch.get_rng_state(),
    }


def assert_same(before: Any, after: Any) -> None:
    if isinstance(before, dict):
        assert before.keys() == after.keys()
        before, after = list(before.values()), list(after.values())
    if isinstance(before, Tensor):
        assert torch.equal(before, after)
    elif isinstance(before, list):
        for one, other in zip(before, after, strict=True):
            assert_same(one, other)
    else:
        assert before == after
