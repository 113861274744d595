"""`torch.compile` with frozen weights. Compiling takes from ten seconds to a minute."""

import contextlib
import importlib
import shutil
import warnings
from typing import Any, ClassVar

import torch
from torch import nn

from convatlas.engines.eager import PreparedModule, dtype_of, reshaped
from convatlas.engines.engine import EngineError, Order, Precision

_MANY = 10_000


class Compiled:
    """The network as kernels that torch writes for it; on the CPU a C++ compiler builds them."""

    name: ClassVar[str] = "compiled"
    extra: ClassVar[str] = ""
    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "bfloat16")
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    quick: ClassVar[bool] = False

    def missing(self, precision: Precision) -> str:  # noqa: ARG002
        """Say that there is no compiler."""
        there = any(map(shutil.which, ("g++", "clang++", "c++")))
        return "" if there else "the engine compiled needs a C++ compiler, such as g++"

    def versions(self) -> dict[str, str]:
        """Torch alone."""
        return {"torch": torch.__version__}

    def prepare(self, order: Order) -> PreparedModule:
        """Compile for the example's shape, and run it once so that the kernels are there.

        Raises:
            EngineError: torch can't compile the network, or the compiler fails.
        """
        module, count = reshaped(order)
        facts: dict[str, Any] = {"norms_folded": count, "threads": torch.get_num_threads()}
        try:
            with warnings.catch_warnings(action="ignore"), _any_number():
                prepared = PreparedModule(_frozen(module), dtype_of(order.precision), facts)
                prepared.run(order.example)
        except Exception as error:  # of the tracer, of the generator or of the compiler
            reason = str(error).strip().partition("\n")[0]
            raise EngineError(f"torch.compile can't take this network: {reason}") from error
        return prepared


def _any_number() -> contextlib.AbstractContextManager[None]:
    """Let torch compile one network for more than eight shapes."""
    config = importlib.import_module("torch._dynamo.config")
    return config.patch(recompile_limit=_MANY, accumulated_recompile_limit=_MANY)


def _frozen(module: nn.Module) -> nn.Module:
    compiled = torch.compile(module, dynamic=False, options={"freezing": True})
    if not isinstance(compiled, nn.Module):
        raise EngineError("torch.compile gave no module")
    return compiled
