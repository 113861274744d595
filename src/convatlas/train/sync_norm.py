"""Batch norm over the batches of all processes: what one process makes of the whole batch.

Ioffe & Szegedy 2015 (1502.03167), algorithm 1, with sums that go over every process. Torch's own
SyncBatchNorm computes on graphics cards only.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase

Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


class SyncNorm(_NormBase):
    """A batch norm that normalises with the mean and variance over all processes' images.

    It takes over the parameters, the buffers and their names, so that a state dict fits both. In
    evaluation mode it computes what the norm did, without asking other processes.

    Args:
        norm: To be replaced; it shares its parameters and buffers from now on.
    """

    def __init__(self, norm: Norm) -> None:
        affine, tracking = norm.affine, norm.track_running_stats
        super().__init__(norm.num_features, norm.eps, norm.momentum, affine, tracking)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.training = norm.training

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, ...); N may be 0 where other processes have images."""
        if not self.training:
            kept, spread = self.running_mean, self.running_var
            return F.batch_norm(x, kept, spread, self.weight, self.bias, kept is None, 0, self.eps)
        wide = x if x.dtype == torch.float64 else x.float()
        mean, variance, count = moments(wide)
        self._follow(mean, variance, count)
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        shift = -mean * scale
        if self.bias is not None:
            shift = shift + self.bias
        shape = (1, -1, *(1,) * (x.dim() - 2))
        return torch.addcmul(shift.view(shape), wide, scale.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics, with the unbiased variance as torch does."""
        kept, spread, steps = self.running_mean, self.running_var, self.num_batches_tracked
        if kept is None or spread is None or steps is None:
            return
        steps += 1
        share = 1 / float(steps) if self.momentum is None else self.momentum
        kept.lerp_(mean, share)
        spread.lerp_((variance * count / (count - 1).clamp(min=1)).to(variance.dtype), share)


def sync_norms(model: nn.Module) -> nn.Module:
    """Replace each batch norm inside `model` by one over all processes.

    Returns:
        The model, changed in place; what took its place where it is a norm itself.
    """
    if isinstance(model, Norm):
        return SyncNorm(model)
    for name, child in list(model.named_children()):
        setattr(model, name, sync_norms(child))
    return model


def moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give mean and biased variance of each channel over all processes, and the count.

    Args:
        x: This process's part, (N, C, ...), float32 or float64.

    Returns:
        (C,), (C,) in the type of `x`; the number of values of a channel, a float64 scalar.
    """
    axes = [axis for axis in range(x.dim()) if axis != 1]
    count = x.numel() // x.shape[1]
    if count:
        variance, mean = (part.double() for part in torch.var_mean(x, axes, correction=0))
    else:
        mean = variance = x.sum(axes).double()  # zeros that belong to the graph
    # squares of means cancel in float32; these are C numbers, so float64 costs nothing
    own = torch.cat([count * mean, count * (variance + mean.square()), mean.new_tensor([count])])
    total = _Sum.apply(own)
    sums, squares = total[:-1].chunk(2)
    count = total[-1].detach()
    mean = sums / count
    variance = (squares / count - mean.square()).clamp(min=0)
    return mean.to(x.dtype), variance.to(x.dtype), count


class _Sum(torch.autograd.Function):
    """The sum over all processes: each one's gradient is the sum of the gradients of all."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:  # noqa: ARG004
        return _summed(own)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        return _summed(gradients[0])


def _summed(own: Tensor) -> Tensor:
    total = own.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total
