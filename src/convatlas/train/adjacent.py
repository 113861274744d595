"""Layers of a network that run one right after the other, and nowhere else."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from torch import nn


def adjacent(model: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Give pairs of layers, of which the second alone sees what the first one gives.

    Sequences within sequences are one line. A layer that has several places is in no pair.
    """
    places = Counter(module for _, module in model.named_modules(remove_duplicate=False))
    seen = set()
    for module in model.modules():
        if _is_sequence(module):
            for pair in pairwise(_in_line(module)):
                if pair not in seen and all(places[layer] == 1 for layer in pair):
                    seen.add(pair)
                    yield pair


def _in_line(module: nn.Module) -> Iterator[nn.Module]:
    if _is_sequence(module):
        for one in module.children():
            yield from _in_line(one)
    else:
        yield module


def _is_sequence(module: nn.Module) -> bool:
    return type(module).forward is nn.Sequential.forward
