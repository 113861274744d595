"""Layers as plain functions of the tensors of a state_dict, to compare networks with."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def randomize_norms(model: nn.Module) -> None:
    """Give each batch norm statistics and weights that a wrong order would show."""
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -0.2, 0.2)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.2, 0.2)


def normed(x: Tensor, weights: dict[str, Tensor], name: str, eps: float = 1e-5) -> Tensor:
    """Batch norm in evaluation mode."""
    mean, var, scale, shift = (
        weights[f"{name}.{kind}"][:, None, None]
        for kind in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + eps).sqrt() * scale + shift


def active(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    """Batch norm and ReLU."""
    return normed(x, weights, name).clamp(min=0)


def conv(x: Tensor, weights: dict[str, Tensor], name: str, stride: int = 1) -> Tensor:
    """A convolution without bias, padded so that stride 1 keeps the size."""
    kernel = weights[f"{name}.weight"]
    return F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)


class PlainInception:
    """The layers of the Inception nets of 2015 and 2016; `state` is a state_dict."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def conv(self, name: str, x: Tensor, stride: int = 1, valid: bool = False) -> Tensor:
        weight = self.state[f"{name}.conv.weight"]
        padding = (0, 0) if valid or stride == 2 else (weight.shape[2] // 2, weight.shape[3] // 2)
        x = F.conv2d(x, weight, None, stride, padding)
        return F.relu(normed(x, self.state, f"{name}.norm", 1e-3))

    def row(self, name: str, x: Tensor, last_stride: int = 1, count: int | None = None) -> Tensor:
        """Run conv1, conv2, ... one after the other: all of them, or `count`."""
        if count is None:
            count = sum(
                key.startswith(f"{name}.conv") and "conv.weight" in key for key in self.state
            )
        for i in range(1, count + 1):
            x = self.conv(f"{name}.conv{i}", x, last_stride if i == count else 1)
        return x

    def reduction(self, name: str, x: Tensor, *branches: str) -> Tensor:
        """Run branches that halve the size beside a pooling that does."""
        rows = [self.row(f"{name}.{branch}", x, last_stride=2) for branch in branches]
        return torch.cat([*rows, F.max_pool2d(x, 3, 2)], 1)
