"""Layers that are computed again in the backward pass, so that nothing between them is kept."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def concatenated_again(maps: Sequence[Tensor], layers: Sequence[nn.Module]) -> Tensor:
    """Concatenate maps and send them through layers; only the maps themselves are kept.

    Pleiss et al. 2017, https://arxiv.org/abs/1707.06990. The second time is the backward pass,
    which gets the same values. Batch norms learn the statistics of the batch the first time alone.

    Args:
        maps: (N, C, H, W) each, of any C.
        layers: Without chance: they compute the same again.
    """
    steps = [layer.forward for layer in layers]  # as they are now: training may have replaced some
    again = False

    def run(*maps: Tensor) -> Tensor:
        nonlocal again
        buffers = [buffer for layer in layers for buffer in layer.buffers()] if again else []
        kept = [buffer.clone() for buffer in buffers]
        again = True
        try:
            x = torch.cat(maps, dim=1)
            for step in steps:
                x = step(x)
            return x
        finally:  # torch leaves the second time early, by an exception
            for buffer, value in zip(buffers, kept, strict=True):
                buffer.copy_(value)

    return checkpoint(run, *maps, use_reentrant=False, preserve_rng_state=False)
