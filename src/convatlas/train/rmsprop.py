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
        """Change all parameters of a group at once."""
        weights = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return
        gradients = [weight.grad for weight in weights]
        if group["weight_decay"]:
            gradients = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
        states = [self._state_of(weight, group["momentum"]) for weight in weights]
        squares = [state["square"] for state in states]
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - group["decay"])
        divisors = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(divisors)
        if not group["momentum"]:
            torch._foreach_addcdiv_(weights, gradients, divisors, value=-group["lr"])
            return
        steps = [state["moved"] for state in states]
        torch._foreach_mul_(steps, group["momentum"])
        torch._foreach_addcdiv_(steps, gradients, divisors, value=group["lr"])
        torch._foreach_sub_(weights, steps)

    def _state_of(self, weight: Tensor, momentum: float) -> dict[str, Tensor]:
        """Give what is kept of a weight between steps, fresh before the first."""
        state = self.state[weight]
        if not state:
            state["square"] = torch.ones_like(weight)
            if momentum:
                state["moved"] = torch.zeros_like(weight)
        return state
