"""The two orders of channels that zero-padded shortcuts give (He et al. 2015, option A).

Zero channels may stand behind the real ones, as here, or half of them before and half behind. In
the second form the channels of a stage are those of the first in another order, so weights of
one become weights of the other when every layer that writes or reads them is reordered.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_LAYER = re.compile(r"stages\.stage(\d)\.(\d+)\.(conv\d)\.(conv|norm)\.")


def reorder_channels(weights: Mapping[str, Tensor], back: bool = False) -> dict[str, Tensor]:
    """Bring zero channels on both sides, as in the given weights, behind the real ones.

    Args:
        weights: Of a CIFAR ResNet with option A, by our names.
        back: Bring them from behind to both sides instead.
    """
    orders = stage_orders([16, 32, 64])
    if back:
        orders = [order.argsort() for order in orders]
    return {name: _reordered(name, tensor, orders) for name, tensor in weights.items()}


def stage_orders(widths: list[int]) -> list[Tensor]:
    """Say for each channel of a stage, in our order, which channel it is in the other order."""
    orders = [torch.arange(widths[0])]
    for width in widths[1:]:
        real = orders[-1] + (width - len(orders[-1])) // 2
        zeros = [i for i in range(width) if i not in set(real.tolist())]
        orders.append(torch.cat([real, torch.tensor(zeros)]))
    return orders


def _reordered(name: str, tensor: Tensor, orders: list[Tensor]) -> Tensor:
    found = _LAYER.match(name)
    if name == "head.fc.weight":
        return tensor[:, orders[-1]]
    if found is None or tensor.dim() == 0:
        return tensor
    stage, block, layer, kind = int(found[1]) - 1, int(found[2]), found[3], found[4]
    if layer == "conv2":
        return tensor[orders[stage]]  # what is added to the shortcut
    if kind == "norm":
        return tensor
    entering = orders[max(stage - 1, 0) if block == 0 else stage]
    return tensor[:, entering]
