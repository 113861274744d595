"""Small networks, and a cache of their own for the tests."""

import pytest
import torch
from installed import need
from torch import nn

from convatlas.catalog import build
from convatlas.engines import winograd_choice
from convatlas.engines.native_build import no_compiler
from convatlas.engines.winograd_choice import DIRECT


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def compiler() -> None:
    """Skip where the code of native/ can't be built."""
    reason = no_compiler()
    if reason:
        pytest.skip(reason)


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


@pytest.fixture
def quickest(monkeypatch):
    """Give `quickest(word)`, which lets the ways win whose name has a word in it."""

    def let(word: str) -> None:
        def measure(runs, x, other):
            assert all(run(x).shape == runs[DIRECT](x).shape for run in runs.values())
            return {name: 1 if word in name else 2 if name == DIRECT else 3 for name in runs}

        monkeypatch.setattr(winograd_choice, "_measure", measure)

    need("winograd")
    return let
