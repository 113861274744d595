"""Layers of a network that run one right after the other, and nowhere else."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from torch import nn

Line = tuple[nn.Module, ...]


def adjacent(model: nn.Module) -> Iterator[tuple[nn.Module, nn.Module, Line]]:
    """Give pairs of layers, of which the second alone sees what the first one gives.

    Sequences within sequences are one line; the third of what is given are the sequences that the
    first layer ends, and the second is not in. A layer that has several places is in no pair.
    """
    places = Counter(module for _, module in model.named_modules(remove_duplicate=False))
    seen = set()
    for module in model.modules():
        if _is_sequence(module):
            for (first, around), (second, others) in pairwise(_in_line(module, ())):
                pair = first, second
                if pair not in seen and all(places[layer] == 1 for layer in pair):
                    seen.add(pair)
                    yield *pair, tuple(one for one in around if one not in others)


def has_hooks(module: nn.Module) -> bool:
    """Say whether somebody looks at what a module takes and gives."""
    ahead = module._forward_hooks or module._forward_pre_hooks
    return bool(ahead or module._backward_hooks or module._backward_pre_hooks)


def _in_line(module: nn.Module, around: Line) -> Iterator[tuple[nn.Module, Line]]:
    """Give the layers of a line, with the sequences that each is in."""
    if _is_sequence(module):
        for one in module.children():
            yield from _in_line(one, (*around, module))
    else:
        yield module, around


def _is_sequence(module: nn.Module) -> bool:
    return type(module).forward is nn.Sequential.forward
