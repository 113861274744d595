"""What a study tells while it runs: values for whoever draws them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Going:
    """A case has done an epoch.

    Attributes:
        study: Name of the study.
        case: Name of the case.
        seed: Which seed.
        epoch: Epochs done.
        epochs: Epochs in all.
    """

    study: str
    case: str
    seed: int
    epoch: int
    epochs: int


@dataclass(frozen=True, slots=True)
class Measured:
    """A case is measured for one seed.

    Attributes:
        study: Name of the study.
        case: Name of the case.
        seed: Which seed.
        done: Measurements so far.
        count: Measurements in all.
        seconds: That this one took; 0: it was there already.
        values: What was measured.
    """

    study: str
    case: str
    seed: int
    done: int
    count: int
    seconds: float
    values: Mapping[str, Any]


StudyEvent = Going | Measured
StudyProgress = Callable[[StudyEvent], None]


def unseen(event: StudyEvent) -> None:
    """Draw nothing."""
