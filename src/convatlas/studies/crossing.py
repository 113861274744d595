"""When a curve of a training comes down to a level."""

from collections.abc import Sequence


def epochs_until(curve: Sequence[float | None], level: float, start: float) -> float | None:
    """Give the epoch, between two of them by a straight line, at which a curve reaches a level.

    Args:
        curve: A value for each epoch, the first after epoch 1; none after a training diverged.
        level: What it comes down to.
        start: The value before training.

    Returns:
        The first such epoch; None: it never gets there.
    """
    before = start
    for epoch, value in enumerate(curve):
        if value is None:
            return None
        if value <= level:
            return epoch + ((before - level) / (before - value) if before > value else 0.0)
        before = value
    return None
