"""An engine's answers compared with those of the network itself, before it may run."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.engines.engine import EngineError, Order, Precision, Prepared
from convatlas.engines.roster import find_engine
from convatlas.errors import InputError, UserError
from convatlas.export.agreement import FLOAT32_TOLERANCE, Agreement, compare, worst

TOLERANCES: dict[Precision, float] = {
    "float32": FLOAT32_TOLERANCE,
    "bfloat16": 0.05,  # 8 bits of mantissa, over a hundred layers
    "int8": 0.3,  # of an output; whether the classes agree is looked at besides
}


@dataclass(frozen=True, slots=True, eq=False)
class Proven:
    """An engine whose answers are within the tolerance."""

    engine: str
    precision: Precision
    prepared: Prepared
    agreement: Agreement


class Proving:
    """The network's own answers to some images, which engines are compared with.

    Attributes:
        example: The images to prepare for.
        tolerance: As given; None: that of each precision.
        device: Kind of the device of the images.
    """

    def __init__(
        self, model: nn.Module, example: Tensor, images: Tensor | None, tolerance: float | None
    ) -> None:
        """Run the network on the example, on random images, and on the real ones.

        Raises:
            InputError: The network can't take them, or its answers are not finite.
        """
        if tolerance is not None and not tolerance > 0:
            raise InputError(f"a tolerance is above 0, not {tolerance!r}")
        if example.dtype != torch.float32:
            raise InputError(f"an example is a tensor of float32, not of {example.dtype}")
        self.model, self.example, self.images = model, example, images
        self.tolerance, self.device = tolerance, example.device.type
        draw = torch.Generator().manual_seed(0)
        random = torch.randn(example.shape, generator=draw).to(example)
        self._asked = [example, random, *self._of_size(images)]
        with torch.inference_mode():
            self._expected = [model(x) for x in self._asked]
        if not all(torch.isfinite(logits).all() for logits in self._expected):
            raise InputError("the network gives logits that are not finite: broken weights")

    def _of_size(self, images: Tensor | None) -> list[Tensor]:
        """Cut real images into batches of the example's size; what is left over is not asked."""
        size = len(self.example)
        if images is None or images.shape[1:] != self.example.shape[1:]:
            return []
        return [batch for batch in images.to(self.example).split(size) if len(batch) == size]

    def order(self, precision: Precision) -> Order:
        """Give what an engine is to prepare."""
        return Order(self.model, self.example, precision, self.images)

    def prove(self, engine: str, precision: Precision) -> Proven:
        """Prepare an engine and compare its answers.

        Raises:
            EngineError: It fails, or is beyond the tolerance.
            UserError: It can't take the network; one clear line.
        """
        tolerance = self.tolerance or TOLERANCES[precision]
        prepared = find_engine(engine).prepare(self.order(precision))
        try:
            found = [
                compare(expected, prepared.run(x), tolerance)
                for x, expected in zip(self._asked, self._expected, strict=True)
            ]
        except UserError:
            raise
        except Exception as error:  # each runtime has errors of its own
            reason = str(error).strip().partition("\n")[0]
            raise EngineError(f"{engine} fails on this network: {reason}") from error
        agreement = worst(found)
        misfit = self._misfit(agreement, found, precision, tolerance)
        if misfit:
            raise EngineError(f"{engine} in {precision} has {misfit}")
        return Proven(engine, precision, prepared, agreement)

    def _misfit(
        self, agreement: Agreement, found: list[Agreement], precision: Precision, tolerance: float
    ) -> str:
        """Say what is beyond the tolerance; of int8 the real images alone tell the classes."""
        real = found[2:]
        if precision != "int8" or not real:
            return agreement.misfit(tolerance)
        top1 = sum(one.top1 for one in real) / len(real)
        error = max(one.relative_error for one in real)
        return Agreement(error, top1, top1).misfit(tolerance, strict=True)
