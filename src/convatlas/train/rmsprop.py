"""RMSProp as TensorFlow computes it: Inception, MobileNet and EfficientNet were trained so."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from convatlas.train.own_optimizer import OwnOptimizer, check_fractions, check_not_negative


class TensorFlowRMSProp(OwnOptimizer):
    """RMSProp with `eps` inside the root, the rate inside the momentum, and a mean from 1 on.

    With gradient g, weights w and rate r, a step is g += weight_decay w;
    s = decay s + (1 - decay) g^2; v = momentum v + r g / sqrt(s + eps); w -= v.

    Args:
        parameters: To be changed, or groups of them.
        lr: Learning rate.
        decay: Of the mean of squared gradients.
        momentum: Of the steps.
        eps: Added to the mean.
        weight_decay: Weight of the squared weights in the loss, twice.

    Raises:
        ValueError: As torch's optimizers do, for a value out of range.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float,
        *,
        decay: float = 0.9,
        momentum: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        check_fractions(decay=decay, momentum=momentum)
        check_not_negative(eps=eps, weight_decay=weight_decay)
        values = {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps}
        super().__init__(parameters, {**values, "weight_decay": weight_decay})

    def change(self, group: dict[str, Any]) -> None:
        """Change the parameters of a group one by one."""
        for weight in group["params"]:
            if weight.grad is not None:
                self._change(weight, weight.grad, group)

    def _change(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["square"] = torch.ones_like(weight)
            if group["momentum"]:
                state["moved"] = torch.zeros_like(weight)
        if group["weight_decay"]:
            gradient = gradient.add(weight, alpha=group["weight_decay"])
        square = state["square"]
        square.mul_(group["decay"]).addcmul_(gradient, gradient, value=1 - group["decay"])
        divisor = square.add(group["eps"]).sqrt_()
        if not group["momentum"]:
            weight.addcdiv_(gradient, divisor, value=-group["lr"])
            return
        moved = state["moved"].mul_(group["momentum"])
        weight.sub_(moved.addcdiv_(gradient, divisor, value=group["lr"]))
