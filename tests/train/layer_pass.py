"""One pass through a layer and back, by torch or by our operations."""

import torch
from torch import Tensor, nn

from convatlas.train.fused import computed, find_fused


def gradients(layer: nn.Module, x: Tensor, fused: bool) -> list[Tensor]:
    """Give the maps, the gradient of x and those of all parameters."""
    layer.zero_grad()
    x = x.clone().requires_grad_()
    with computed(find_fused(layer) if fused else []):
        y = layer(x)
    draw = torch.Generator().manual_seed(1)
    y.backward(torch.randn(y.shape, generator=draw).to(y))
    return [y.detach(), x.grad, *(one.grad.clone() for one in layer.parameters())]
