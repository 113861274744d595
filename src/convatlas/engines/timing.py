"""Times of several engines measured in turn, so that what else the machine does hits all alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ROUNDS = 5
BLOCK_SECONDS = 0.1  # of one engine's turn


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one batch takes, in milliseconds: over rounds, each the mean of its calls."""

    median_ms: float
    least_ms: float
    greatest_ms: float
    rounds: int

    def to_dict(self) -> dict[str, Any]:
        """Give the figures as JSON takes them."""
        return {
            "median_ms": self.median_ms,
            "least_ms": self.least_ms,
            "greatest_ms": self.greatest_ms,
            "rounds": self.rounds,
        }


def measure(
    runs: Mapping[str, Callable[[Tensor], Tensor]],
    x: Tensor,
    rounds: int = ROUNDS,
    block_seconds: float = BLOCK_SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Timing]:
    """Time each on the same images, in turn and every other round in the opposite order.

    Args:
        runs: By name; each has run before.
        x: The images.
        rounds: How often each has its turn.
        block_seconds: How long a turn lasts at least; a slow network runs once.
        progress: Told how many turns are done, of how many.
    """
    found: dict[str, list[float]] = {name: [] for name in runs}
    names, done = list(runs), 0
    for i in range(rounds):
        for name in names if i % 2 == 0 else reversed(names):
            found[name].append(block_ms(runs[name], x, block_seconds))
            done += 1
            if progress is not None:
                progress(done, rounds * len(names))
    return {name: summary(times) for name, times in found.items()}


def summary(times: Sequence[float]) -> Timing:
    """Sum up the rounds of one engine."""
    return Timing(statistics.median(times), min(times), max(times), len(times))


def block_ms(run: Callable[[Tensor], Tensor], x: Tensor, seconds: float) -> float:
    """Run for some time, at least once; give the mean of the calls, in milliseconds."""
    run(x)  # brings its weights back into the cache
    _wait(x)
    begun, calls = time.perf_counter(), 0
    while True:
        run(x)
        calls += 1
        if time.perf_counter() - begun >= seconds:
            _wait(x)
            return (time.perf_counter() - begun) / calls * 1000


def _wait(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
