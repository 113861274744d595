"""How often a fault is injected: a few times by default, often in `make faults`."""

import pytest


def rounds(short: int, full: int) -> pytest.MarkDecorator:
    """Run a test `full` times with another `seed` each; all but the first `short` are slow."""
    slow = pytest.mark.slow
    return pytest.mark.parametrize(
        "seed", [pytest.param(seed, marks=() if seed < short else slow) for seed in range(full)]
    )
