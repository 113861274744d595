"""What training tells while it runs: values for whoever draws them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StepDone:
    """One step of the optimizer.

    Attributes:
        epoch: The epoch that is running, counted from 1.
        epochs: Epochs in all.
        step: Steps done in this epoch.
        steps: Steps in an epoch.
        loss: Mean over the images of this epoch so far.
        accuracy: Fraction of them that was recognised, as the network was when it saw them.
        images_per_second: Over this epoch so far.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float


@dataclass(frozen=True, slots=True)
class EpochDone:
    """One epoch, validated; `record` is its line in `metrics.jsonl`."""

    epochs: int
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Notice:
    """What a user should know: where a run goes on, what it found, what it does now."""

    text: str


@dataclass(frozen=True, slots=True)
class Download:
    """Images or weights on their way here.

    Attributes:
        file: Its name.
        done: Bytes so far.
        total: Bytes in all; None: the server doesn't say.
    """

    file: str
    done: int
    total: int | None


Event = StepDone | EpochDone | Notice | Download
Progress = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Draw nothing."""
