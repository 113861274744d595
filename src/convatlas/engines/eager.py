"""PyTorch as it is, with what costs nothing: batch norm folded, channels last."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from convatlas.engines.engine import Order, Precision
from convatlas.engines.folding import folded


@dataclass(frozen=True, slots=True, eq=False)
class PreparedModule:
    """A module and the type in which it computes."""

    module: nn.Module
    dtype: torch.dtype
    facts: dict[str, Any]

    def run(self, x: Tensor) -> Tensor:
        """Run the module."""
        with torch.inference_mode():
            return self.module(channels_last(x.to(self.dtype))).float()

    def report(self) -> dict[str, Any]:
        """Tell how it runs."""
        return {"dtype": str(self.dtype).removeprefix("torch."), **self.facts}


class Eager:
    """The network itself, layer by layer; needs nothing but torch, and always works."""

    name: ClassVar[str] = "eager"
    extra: ClassVar[str] = ""
    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "bfloat16")
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    quick: ClassVar[bool] = True

    def missing(self, precision: Precision) -> str:  # noqa: ARG002
        """Nothing."""
        return ""

    def versions(self) -> dict[str, str]:
        """Torch alone."""
        return {"torch": torch.__version__}

    def prepare(self, order: Order) -> PreparedModule:
        """Fold the norms, and lay weights out with the channels last."""
        module, count = reshaped(order)
        facts = {"norms_folded": count, "threads": torch.get_num_threads()}
        return PreparedModule(module, dtype_of(order.precision), facts)


def reshaped(order: Order) -> tuple[nn.Module, int]:
    """Copy a network, folded, in the type and the layout that it computes in."""
    module, count = folded(order.model)
    module = module.eval().requires_grad_(False)
    module.to(dtype_of(order.precision))
    # torch documents this argument, and its stubs lack it
    module.to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]
    return module, count


def dtype_of(precision: Precision) -> torch.dtype:
    """Give torch's type of a precision that torch itself computes in."""
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def channels_last(x: Tensor) -> Tensor:
    """Lay images out with the channels of a pixel together: convolutions are quickest so."""
    return x.contiguous(memory_format=torch.channels_last)
