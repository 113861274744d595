"""Momentum as cuda-convnet and Caffe compute it: AlexNet and its followers were trained so."""

from collections.abc import Callable, Iterable
from typing import Any

import torch


class CaffeSGD(torch.optim.Optimizer):
    """Stochastic gradient descent with the rate inside the momentum.

    With gradient g, weights w and rate r, a step is v = momentum v + r (g + weight_decay w);
    w -= v: Krizhevsky et al. 2012, section 5, and Caffe's SGDSolver. It is torch's SGD while the
    rate is constant; after a cut of the rate, older and larger steps still are in v.

    Args:
        parameters: To be changed, or groups of them.
        lr: Learning rate.
        momentum: Of the steps.
        weight_decay: Weight of the squared weights in the loss, twice.

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
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), not {momentum!r}")
        if not weight_decay >= 0:
            raise ValueError(f"weight_decay must be at least 0, not {weight_decay!r}")
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(  # ty: ignore[incompatible-method-override] # torch declares it twice, by closure
        self, closure: Callable[[], float] | None = None
    ) -> float | None:
        """Change every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            gradients = [weight.grad for weight in weights]
            if group["weight_decay"]:
                gradients = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
            steps = [self._moved(weight) for weight in weights]
            torch._foreach_mul_(steps, group["momentum"])
            torch._foreach_add_(steps, gradients, alpha=group["lr"])
            torch._foreach_sub_(weights, steps)
        return loss

    def _moved(self, weight: torch.Tensor) -> torch.Tensor:
        """Give the last step of a weight, none before the first."""
        state = self.state[weight]
        if not state:
            state["moved"] = torch.zeros_like(weight)
        return state["moved"]
