"""What an engine is: it prepares a network for one shape, runs it, and reports how."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, get_args

from torch import Tensor, nn

from convatlas.errors import UserError

Precision = Literal["float32", "bfloat16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


class EngineWarning(UserWarning):
    """An engine was left out, or its choice could not be kept; the line says why."""


class EngineError(UserError, RuntimeError):
    """An engine that can't run a network, or runs it with answers beyond the tolerance."""


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """What an engine is to prepare.

    Attributes:
        model: In evaluation mode, float32; engines leave it as it is.
        example: Images of the shape to prepare for, (N, C, H, W), on the model's device.
        precision: To compute in.
        images: Real images to calibrate int8 with, (M, C, H, W); None: there are none.
    """

    model: nn.Module
    example: Tensor
    precision: Precision = "float32"
    images: Tensor | None = None


class Prepared(Protocol):
    """A network made ready by an engine."""

    def run(self, x: Tensor) -> Tensor:
        """Give the logits of images of the shape that was prepared for, in float32."""
        ...

    def report(self) -> dict[str, Any]:
        """Tell how it runs: settings, threads, what was fused; JSON values."""
        ...


class Engine(Protocol):
    """A way of running networks.

    Attributes:
        name: What users call it.
        extra: Of convatlas, which installs what it needs; empty: nothing is needed.
        precisions: Those that it can compute in, where the machine can.
        devices: Kinds of torch device that it runs on.
        quick: Prepares in seconds; `auto` tries a slow one only where eager is alone.
    """

    name: ClassVar[str]
    extra: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]]
    devices: ClassVar[tuple[str, ...]]
    quick: ClassVar[bool]

    def missing(self, precision: Precision) -> str:
        """Say what is not installed for a precision, and how to install it; or nothing."""
        ...

    def versions(self) -> dict[str, str]:
        """Give the versions that its speed and its answers depend on."""
        ...

    def prepare(self, order: Order) -> Prepared:
        """Make a network ready.

        Raises:
            UserError: It can't be; one clear line.
        """
        ...
