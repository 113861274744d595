"""How many threads a run computes with."""

import contextlib
from collections.abc import Generator

import torch

# Measured where other programs kept both cores of a machine busy, a step on one thread and on two:
# LeNet-5 in batches of 64 (0.03e9) 18 and 21 ms, ResNet-20 in batches of 16 (0.65e9) 124 and
# 216 ms, in batches of 64 (2.6e9) 352 and 259 ms. Threads with little to do wait for each other.
SMALL_STEP_MACS = 1e9


def threads_of(macs: float) -> int:
    """Give the number of threads that a step of so many multiply-accumulates is computed on."""
    return 1 if macs < SMALL_STEP_MACS else torch.get_num_threads()


@contextlib.contextmanager
def threads_for(macs: float) -> Generator[None]:
    """Compute a small network on one thread inside the block, others on as many as torch has.

    So the bits of a small network do not depend on the number of cores either.

    Args:
        macs: Multiply-accumulates of one forward pass over a batch.
    """
    with on_threads(threads_of(macs)):
        yield


@contextlib.contextmanager
def on_threads(count: int) -> Generator[None]:
    """Compute on so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
