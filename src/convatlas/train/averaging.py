"""An average of the weights along the way, which often is better than where the way ends."""

from copy import deepcopy

import torch
from torch import nn


class Average:
    """An exponential moving average of a network's weights and buffers.

    Polyak & Juditsky 1992 average uniformly; the exponential form, with which Inception v3 was
    evaluated (Szegedy et al. 2015, section 8), forgets the start. The decay rises with the steps,
    (1 + t) / (10 + t), until it is `decay`, so that a short run forgets its start too.

    Args:
        model: The network to follow.
        decay: See above.
        copy: A copy of it to move, where torch can't copy `model`; None: a copy is made.

    Attributes:
        model: The averaged network.
    """

    def __init__(self, model: nn.Module, decay: float, copy: nn.Module | None = None) -> None:
        self.model = (deepcopy(model) if copy is None else copy).requires_grad_(False)
        self._decay = decay
        pairs = zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
        kept = list(pairs)
        self._floats = [pair for pair in kept if pair[0].is_floating_point()]
        self._counts = [pair for pair in kept if not pair[0].is_floating_point()]

    def follow(self, step: int) -> None:
        """Move towards the network after its step number `step`, counted from 1."""
        decay = min(self._decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, new in self._floats:
                kept.lerp_(new, 1 - decay)
            for kept, new in self._counts:
                kept.copy_(new)
