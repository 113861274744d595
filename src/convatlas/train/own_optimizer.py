"""What the optimizers that torch lacks have in common."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch


class OwnOptimizer(torch.optim.Optimizer):
    """An optimizer that says how a group of parameters changes."""

    @abstractmethod
    def change(self, group: dict[str, Any]) -> None:
        """Change the parameters of a group that have a gradient, with its values."""

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
            self.change(group)
        return loss


def check_fractions(**values: float) -> None:
    """Refuse values outside [0, 1), by name, with torch's kind of error."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} must be in [0, 1), not {value!r}")


def check_not_negative(**values: float) -> None:
    """Refuse values below 0 likewise."""
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name} must be at least 0, not {value!r}")
