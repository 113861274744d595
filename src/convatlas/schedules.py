"""Learning-rate schedules: frozen data that answers `schedule(epoch) -> factor`.

An epoch is a float: 2.5 is the middle of the third epoch. The learning rate of a step is the
recipe's rate times the factor.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self, runtime_checkable

from convatlas.errors import InputError


@runtime_checkable
class Schedule(Protocol):
    """What turns an epoch into a factor of the learning rate."""

    def __call__(self, epoch: float) -> float:
        """Give the factor at `epoch`, counted from 0."""
        ...

    def stretched(self, factor: float) -> "Schedule":
        """Give the schedule of a run that takes `factor` times as many epochs."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """The same rate throughout."""

    def __call__(self, epoch: float) -> float:  # noqa: ARG002
        """Give 1."""
        return 1.0

    def stretched(self, factor: float) -> Self:  # noqa: ARG002
        """Give itself."""
        return self


@dataclass(frozen=True, slots=True)
class Steps:
    """Multiply by `factor` at each of `epochs`."""

    epochs: tuple[float, ...]
    factor: float = 0.1

    def __call__(self, epoch: float) -> float:
        """Give factor ** (how many of `epochs` have been reached)."""
        return self.factor ** sum(epoch >= at for at in self.epochs)

    def stretched(self, factor: float) -> Self:
        """Move every step."""
        return replace(self, epochs=tuple(epoch * factor for epoch in self.epochs))


@dataclass(frozen=True, slots=True)
class Levels:
    """One factor for each span of epochs, as a paper's table lists them."""

    until: tuple[float, ...]  # the epoch at which each factor ends; the last one goes on
    factors: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse spans without a factor, and spans that end before they begin."""
        if not self.until or len(self.until) != len(self.factors):
            raise InputError(
                f"until and factors must be equally long, not {self.until} and {self.factors}"
            )
        if list(self.until) != sorted(self.until):
            raise InputError(f"until must rise, not {self.until}")

    def __call__(self, epoch: float) -> float:
        """Give the factor of the span that `epoch` lies in."""
        for end, factor in zip(self.until, self.factors, strict=True):
            if epoch < end:
                return factor
        return self.factors[-1]

    def stretched(self, factor: float) -> Self:
        """Move the end of every span."""
        return replace(self, until=tuple(epoch * factor for epoch in self.until))


@dataclass(frozen=True, slots=True)
class Exponential:
    """Multiply by `factor` every so many epochs, all along (Szegedy et al. 2014, section 6).

    Attributes:
        factor: Of each step.
        every: Epochs between two steps.
        ahead: Epochs that its clock is ahead of the run's: those of a warm-up before it, where
            the steps are counted from the start of the run.
    """

    factor: float
    every: float
    ahead: float = 0.0

    def __post_init__(self) -> None:
        """Refuse steps that never come, or all at once."""
        if not self.every > 0:
            raise InputError(f"every must be more than 0 epochs, not {self.every!r}")

    def __call__(self, epoch: float) -> float:
        """Give factor ** (how many steps there have been)."""
        steps = math.floor((epoch + self.ahead) / self.every + 1e-9)  # 0.3 / 0.1 is 2.9999...
        return self.factor ** max(steps, 0)

    def stretched(self, factor: float) -> Self:
        """Make the steps longer."""
        return replace(self, every=self.every * factor, ahead=self.ahead * factor)


@dataclass(frozen=True, slots=True)
class Polynomial:
    """Fall from 1 to `final` over `epochs`, at every step; a straight line by default.

    Caffe's "poly": final + (1 - final) (1 - epoch / epochs) ** power.

    Attributes:
        epochs: When `final` is reached.
        power: 1 is a straight line; 0.5 falls late.
        final: Factor at the end.
    """

    epochs: float
    power: float = 1.0
    final: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a fall without length, and one that rises."""
        if not self.epochs > 0:
            raise InputError(f"a polynomial takes more than 0 epochs, not {self.epochs!r}")
        if not self.power > 0:
            raise InputError(f"power must be more than 0, not {self.power!r}")

    def __call__(self, epoch: float) -> float:
        """Give the factor at `epoch`."""
        left = 1 - min(max(epoch / self.epochs, 0.0), 1.0)
        return self.final + (1 - self.final) * left**self.power

    def stretched(self, factor: float) -> Self:
        """Move the end."""
        return replace(self, epochs=self.epochs * factor)


@dataclass(frozen=True, slots=True)
class Cosine:
    """Half a cosine from 1 down to `final` over `epochs` (Loshchilov & Hutter 2017, eq. 5)."""

    epochs: float
    final: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a cosine without length."""
        if not self.epochs > 0:
            raise InputError(f"a cosine takes more than 0 epochs, not {self.epochs!r}")

    def __call__(self, epoch: float) -> float:
        """Give final + (1 - final) (1 + cos(pi epoch / epochs)) / 2."""
        part = min(max(epoch / self.epochs, 0.0), 1.0)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * part)) / 2

    def stretched(self, factor: float) -> Self:
        """Move the end."""
        return replace(self, epochs=self.epochs * factor)


@dataclass(frozen=True, slots=True)
class Warmup:
    """Rise linearly from `start` to 1 over `epochs`, then follow `then` on its own clock."""

    epochs: float
    then: Schedule
    start: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a ramp that ends before it begins."""
        if not self.epochs >= 0:
            raise InputError(f"a warm-up takes at least 0 epochs, not {self.epochs!r}")

    def __call__(self, epoch: float) -> float:
        """Give the ramp, and after it `then(epoch - epochs)`."""
        if epoch < self.epochs:
            return self.start + (1 - self.start) * epoch / self.epochs
        return self.then(epoch - self.epochs)

    def stretched(self, factor: float) -> Self:
        """Stretch the ramp and what follows it."""
        return replace(self, epochs=self.epochs * factor, then=self.then.stretched(factor))


@dataclass(frozen=True, slots=True)
class OnPlateau:
    """Multiply by `factor` when the error has not fallen for `patience` epochs.

    The only schedule that looks at results: the training loop passes the errors so far, one an
    epoch, to `drops`, and multiplies.

    Attributes:
        patience: Epochs without a lower error.
        factor: Of each cut.
        max_drops: Most cuts.
        watch: The error on the validation images, or on the training images as they were seen.
    """

    patience: int = 5
    factor: float = 0.1
    max_drops: int = 3
    watch: Literal["val", "train"] = "val"

    def __post_init__(self) -> None:
        """Refuse to cut the rate without waiting, and errors that nobody counts."""
        if not self.patience >= 1:
            raise InputError(f"patience must be at least 1 epoch, not {self.patience!r}")
        if self.watch not in ("val", "train"):
            raise InputError(f'watch must be "val" or "train", not {self.watch!r}')

    def __call__(self, epoch: float) -> float:  # noqa: ARG002
        """Give 1: the drops depend on results, see `drops`."""
        return 1.0

    def stretched(self, factor: float) -> Self:  # noqa: ARG002
        """Give itself: a plateau is as long as it is, however long the run."""
        return self

    def drops(self, errors: list[float]) -> int:
        """Count how often the rate has been cut after these errors."""
        best, waited, count = math.inf, 0, 0
        for error in errors:
            if error < best:
                best, waited = error, 0
                continue
            waited += 1
            if waited >= self.patience and count < self.max_drops:
                waited, count = 0, count + 1
        return count
