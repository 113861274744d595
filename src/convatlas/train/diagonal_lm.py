"""Stochastic diagonal Levenberg-Marquardt: the optimizer that LeNet-5 was trained with."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.nn import Parameter

from convatlas.train.own_optimizer import OwnOptimizer, check_not_negative


class DiagonalLevenbergMarquardt(OwnOptimizer):
    """Gradient descent in which each weight has a rate of its own, lr / (mu + h).

    LeCun et al. 1998, equation 21 and appendix C; h is the curvature of the loss along the weight,
    which `follow` is given before the first step and again from time to time.

    Args:
        parameters: To be changed, or groups of them.
        lr: The global rate.
        mu: Keeps weights without curvature from going too far.
        weight_decay: Weight of the squared weights in the loss, twice.

    Raises:
        ValueError: As torch's optimizers do, for a value out of range.
    """

    def __init__(
        self, parameters: Iterable[Any], lr: float, *, mu: float = 0.02, weight_decay: float = 0.0
    ) -> None:
        if not mu > 0:
            raise ValueError(f"mu must be positive, not {mu!r}")
        check_not_negative(weight_decay=weight_decay)
        super().__init__(parameters, {"lr": lr, "mu": mu, "weight_decay": weight_decay})

    def follow(self, curvature: Mapping[Parameter, Tensor]) -> None:
        """Take the curvature along each weight, at least 0, for the steps to come."""
        for weight, value in curvature.items():
            self.state[weight]["curvature"] = value

    def change(self, group: dict[str, Any]) -> None:
        """Change the parameters of a group one by one.

        Raises:
            RuntimeError: `follow` was not called before.
        """
        for weight in group["params"]:
            if weight.grad is None:
                continue
            if not self.state[weight]:
                raise RuntimeError("the curvature must be measured before the first step")
            gradient = weight.grad
            if group["weight_decay"]:
                gradient = gradient.add(weight, alpha=group["weight_decay"])
            curvature = self.state[weight]["curvature"]
            weight.addcdiv_(gradient, curvature + group["mu"], value=-group["lr"])
