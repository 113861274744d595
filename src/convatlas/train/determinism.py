"""Only algorithms that give the same bits each time."""

import contextlib
import os
from collections.abc import Generator

import torch

from convatlas.errors import InputError


@contextlib.contextmanager
def deterministic_algorithms(wanted: bool) -> Generator[None]:
    """Let torch use no other algorithms inside the block, if `wanted`.

    Raises:
        InputError: A layer has no such algorithm on this device.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False  # it would take the algorithm that is fastest today
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        reason = str(error).partition(". ")[0]
        raise InputError(f"can't train deterministically: {reason}") from error
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
