"""Small networks, and a cache of their own for the tests."""

import pytest
import torch
from torch import nn

from convatlas.catalog import build


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def network() -> nn.Module:
    """A residual network whose norms have seen images; the tests leave it as it is."""
    torch.manual_seed(0)
    model = build("resnet8_cifar")
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(8, 3, 32, 32))
    return model.eval()


@pytest.fixture(scope="session")
def images() -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
