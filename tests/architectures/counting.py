"""Parameters and multiply-adds, counted without convatlas."""

from collections.abc import Callable, Container, Iterable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def params(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def macs(call: Callable[[Tensor], object], *shape: int) -> int:
    """What torch counts for one image of `shape`, on the meta device; a module is set to eval."""
    if isinstance(call, nn.Module):
        call.eval()
    with FlopCounterMode(display=False) as counter:
        call(torch.empty(1, *shape, device="meta"))
    return counter.get_total_flops() // 2


def some(names: Iterable[str], short: Container[str]) -> list:
    """Parameters of a test; the names that are not `short` are slow, for all of them are alike."""
    return [pytest.param(n, marks=[] if n in short else [pytest.mark.slow]) for n in names]
