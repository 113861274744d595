"""ONNX Runtime, on the network as an ONNX model."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar

import torch
from torch import Tensor

from convatlas.engines.engine import Order, Precision
from convatlas.export import onnx
from convatlas.export.needs import missing
from convatlas.export.program import trace


@dataclass(frozen=True, slots=True, eq=False)
class PreparedSession:
    """A session of ONNX Runtime."""

    run_session: Any
    facts: dict[str, Any]

    def run(self, x: Tensor) -> Tensor:
        """Run the session."""
        return self.run_session(x)

    def report(self) -> dict[str, Any]:
        """Tell how it runs."""
        return self.facts


class OnnxRuntime:
    """Microsoft's runtime, on its CPU provider."""

    name: ClassVar[str] = "onnxruntime"
    extra: ClassVar[str] = onnx.EXTRA
    precisions: ClassVar[tuple[Precision, ...]] = ("float32",)
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    quick: ClassVar[bool] = True

    def missing(self, precision: Precision) -> str:  # noqa: ARG002
        """Name what is not installed, and the extra that brings it."""
        absent = missing(onnx.PACKAGES)
        needs = " and ".join(absent)
        tell = f"the engine onnxruntime needs {needs}: pip install 'convatlas[{onnx.EXTRA}]'"
        return tell if absent else ""

    def versions(self) -> dict[str, str]:
        """ONNX Runtime's own and those of what converts for it."""
        return {name: version(name) for name in onnx.PACKAGES}

    def prepare(self, order: Order) -> PreparedSession:
        """Convert the traced network and load it.

        Raises:
            InputError: It is not installed, or can't take the network.
        """
        model = onnx.convert(trace(order.model, tuple(order.example.shape[1:]), any_size=False))
        session = onnx.session(model.SerializeToString(), len(order.example))
        facts = {"threads": torch.get_num_threads(), "provider": session.get_providers()[0]}
        return PreparedSession(onnx.runner(session), facts)
