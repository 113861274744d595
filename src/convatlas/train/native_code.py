"""The C++ code of training: operations that torch has not, or slowly, on processors."""

import ctypes
import functools
from pathlib import Path
from typing import Any

import torch

from convatlas.native import build
from convatlas.native.build import openmp

TYPES = (torch.float32, torch.bfloat16)


def can_build(name: str) -> bool:
    """Say whether the code of that name is there, or can be built."""
    return build.can_build(_source(name))


@functools.cache
def native_function(name: str, function: str) -> Any:
    """Give a function of a file in `native/`, which takes the address of a structure.

    Raises:
        BuildError: It can't be built.
    """
    found = getattr(_code(name), function)
    found.argtypes, found.restype = (ctypes.c_void_p,), None
    return found


@functools.cache
def _code(name: str) -> ctypes.CDLL:
    return build.library(_source(name))


def _source(name: str) -> Path:
    return Path(__file__).parent / "native" / f"{name}.cpp"


def threads() -> tuple[int, ctypes.c_void_p]:
    """Give how many threads torch computes on, and what runs work on them."""
    return torch.get_num_threads(), openmp()
