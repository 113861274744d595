"""Products of matrices by the quicker library, and never by a coarser one."""

import pytest
import torch

from convatlas.train import products
from convatlas.train.products import quick_products


@pytest.fixture
def amd(monkeypatch):
    """A processor on which oneDNN is asked."""
    monkeypatch.setattr(products, "_is_amd", lambda: True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)


def seen(wanted: bool = True) -> str:
    with quick_products(wanted):
        return torch.get_float32_matmul_precision()


def test_it_is_asked_inside_the_block_only(amd, monkeypatch):
    monkeypatch.setattr(products, "_error", lambda: 1e-6)
    assert seen() == "medium"
    assert torch.get_float32_matmul_precision() == "highest"
    assert seen(wanted=False) == "highest"


def test_it_is_not_asked_where_it_would_be_coarse(amd, monkeypatch):
    monkeypatch.setattr(products, "_error", lambda: 4e-3)
    assert seen() == "highest"


def test_other_processors_keep_their_library(monkeypatch):
    monkeypatch.setattr(products, "_is_amd", lambda: False)
    assert seen() == "highest"


def test_what_the_user_has_set_stays(amd):
    torch.set_float32_matmul_precision("high")
    try:
        assert seen() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_products_are_exact_on_this_machine():
    a, b = torch.randn(2, 300, 300)
    exact = a.double() @ b.double()
    with quick_products(True):
        found = a @ b
    assert (found - exact).abs().max() < 1e-5 * exact.abs().max()
