"""Calls of steps.cpp: layers one after another, without Python between them."""

import ctypes
import functools
from collections.abc import Sequence
from ctypes import POINTER, c_long, c_void_p

from convatlas.native.build import FOLDER, library, openmp
from convatlas.native.maps import Call

_SOURCE = FOLDER / "steps.cpp"


class Step(ctypes.Structure):
    """A layer, and its maps as bytes from the begin of blocks of memory.

    `input`, `added` and `output` are numbers of blocks; negative: there is none.
    """

    _fields_ = (
        ("run", c_void_p),
        ("layer", c_void_p),
        ("call", Call),
        *((name, c_long) for name in ("input", "added", "output")),
    )


def run_steps(steps: "ctypes.Array[Step]", blocks: Sequence[int]) -> None:
    """Run layers one after another, on the memory that begins at these addresses.

    Raises:
        MemoryError: There is none left for what a layer keeps aside.
    """
    places = (c_void_p * len(blocks))(*blocks)
    if _code().steps_run(steps, len(steps), places, openmp()):
        raise MemoryError("a layer found no memory for its pixels")


@functools.cache
def _code() -> ctypes.CDLL:
    code = library(_SOURCE)
    code.steps_run.argtypes = (POINTER(Step), c_long, POINTER(c_void_p), c_void_p)
    return code
