"""Momentum as cuda-convnet and Caffe compute it: AlexNet and its followers were trained so."""

from collections.abc import Iterable
from typing import Any

import torch

from convatlas.train.own_optimizer import OwnOptimizer, check_fractions, check_not_negative


class CaffeSGD(OwnOptimizer):
    """Stochastic gradient descent with the rate inside the momentum.

    With gradient g, weights w and rate r, a step is v = momentum v + r (g + weight_decay w);
    w -= v: Krizhevsky et al. 2012, section 5, and Caffe's SGDSolver. It is torch's SGD while the
    rate is constant; after a cut of the rate, older and larger steps still are in v.

    Args:
        parameters: To be changed, or groups of them.
        lr: Learning rate.
        momentum: Of the steps.
        weight_decay: Weight of the squared weights in the loss, twice.
        fused: Change each weight in one pass through memory.

    Raises:
        ValueError: As torch's optimizers do, for a value out of range.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        fused: bool = False,
    ) -> None:
        check_fractions(momentum=momentum)
        check_not_negative(weight_decay=weight_decay)
        values = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "fused": fused}
        super().__init__(parameters, values)

    def change(self, group: dict[str, Any]) -> None:
        """Change all parameters of a group at once."""
        weights = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return
        gradients = [weight.grad for weight in weights]
        steps = [self._moved(weight) for weight in weights]
        if group.get("fused"):  # checkpoints of older versions don't say
            _change_fused(weights, gradients, steps, group)
            return
        if group["weight_decay"]:
            gradients = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
        torch._foreach_mul_(steps, group["momentum"])
        torch._foreach_add_(steps, gradients, alpha=group["lr"])
        torch._foreach_sub_(weights, steps)

    def _moved(self, weight: torch.Tensor) -> torch.Tensor:
        """Give the last step of a weight, none before the first."""
        state = self.state[weight]
        if not state:
            state["moved"] = torch.zeros_like(weight)
        return state["moved"]


def _change_fused(
    weights: list[Any], gradients: list[Any], steps: list[Any], group: dict[str, Any]
) -> None:
    """Let torch's SGD do it: its gradients are damped to the rate, and its own rate is 1."""
    rate, moves = group["lr"], group["momentum"] > 0
    torch._fused_sgd_(
        weights,
        gradients,
        steps if moves else [],
        weight_decay=group["weight_decay"],
        momentum=group["momentum"],
        lr=1.0 if moves else rate,
        dampening=1 - rate if moves else 0.0,
        nesterov=False,
        maximize=False,
        is_first_step=False,
    )
