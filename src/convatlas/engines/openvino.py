"""OpenVINO: float32, bfloat16, and int8 quantised by NNCF with real images."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar

import torch
from torch import Tensor

from convatlas.engines.calibration import check_images, quantized
from convatlas.engines.engine import Order, Precision
from convatlas.engines.machine import has_bfloat16
from convatlas.engines.timing import measure
from convatlas.export import openvino
from convatlas.export.needs import missing
from convatlas.export.program import trace

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_QUANTIZER = ("nncf",)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedModel:
    """A compiled model of OpenVINO."""

    run_model: Any
    facts: dict[str, Any]

    def run(self, x: Tensor) -> Tensor:
        """Run the model."""
        return self.run_model(x)

    def report(self) -> dict[str, Any]:
        """Tell how it runs."""
        return self.facts


class OpenVino:
    """Intel's runtime; runs on x86 and ARM of any maker."""

    name: ClassVar[str] = "openvino"
    extra: ClassVar[str] = openvino.EXTRA
    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "bfloat16", "int8")
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    quick: ClassVar[bool] = True

    def missing(self, precision: Precision) -> str:
        """Name what is not installed, and the extra that brings it."""
        if missing(openvino.PACKAGES):
            return "the engine openvino needs openvino: pip install 'convatlas[openvino]'"
        if precision == "int8" and missing(_QUANTIZER):
            return "int8 needs nncf: pip install 'convatlas[int8]'"
        return ""

    def versions(self) -> dict[str, str]:
        """OpenVINO's own, and its quantiser's where it is installed."""
        names = (*openvino.PACKAGES, *(() if missing(_QUANTIZER) else _QUANTIZER))
        return {name: version(name) for name in names}

    def prepare(self, order: Order) -> PreparedModel:
        """Convert the traced network, fix its shape, compile it.

        A batch is run whole or in pieces, whichever takes less time. In int8, what is not quantised
        runs in float32 or bfloat16, likewise.

        Raises:
            InputError: It is not installed, or can't take the network.
        """
        if order.precision == "int8":
            check_images(order)
        shape = tuple(order.example.shape)
        model = openvino.convert(trace(order.model, shape[1:], any_size=False))
        model.reshape(list(shape))  # kernels for a known shape are quicker
        if order.precision == "int8":
            model = quantized(model, order)
        hints = _hints(order.precision)
        forms = [form for hint in hints for form in self._forms(model, hint, len(order.example))]
        if len(forms) == 1:
            return forms[0]
        runs = {str(i): form.run for i, form in enumerate(forms)}
        timings = measure(runs, order.example, rounds=3)
        return forms[int(min(timings, key=lambda name: timings[name].least_ms))]

    def _forms(self, model: Any, hint: str, batch: int) -> list[PreparedModel]:
        """Prepare for batches as they are, and cut into pieces that run side by side."""
        whole = openvino.compiled(model, hint)
        forms = [PreparedModel(openvino.runner(whole), _facts(whole, batch))]
        threads = torch.get_num_threads()
        for size in sorted({1, batch // threads}) if threads > 1 else ():
            if not 1 <= size < batch or batch % size:
                continue
            part = model.clone()
            part.reshape([size, *model.input(0).shape[1:]])
            several = openvino.compiled(part, hint, streams=min(threads, batch // size))
            facts = _facts(several, size)
            forms.append(PreparedModel(openvino.piecewise_runner(several, size), facts))
        return forms


def _hints(precision: Precision) -> list[str]:
    """Give the precisions of what is not quantised that may be the quickest here."""
    if precision != "int8":
        return [_HINTS[precision]]
    return ["f32", "bf16"] if has_bfloat16("cpu") else ["f32"]


def _facts(compiled: Any, size: int) -> dict[str, Any]:
    return {
        "inference_precision": compiled.get_property("INFERENCE_PRECISION_HINT").to_string(),
        "threads": torch.get_num_threads(),
        "streams": str(compiled.get_property("NUM_STREAMS")),
        "images_at_a_time": size,
    }
