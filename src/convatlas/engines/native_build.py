"""The C++ code of engines, built at its first use; see `convatlas.native.build`."""

import ctypes
from pathlib import Path

from convatlas.engines.engine import EngineError
from convatlas.native import build as native_build
from convatlas.native.build import BuildError, no_compiler

__all__ = ["library", "no_compiler", "source", "versions"]


def source(name: str) -> Path:
    """Name the file that a library is built from."""
    return native_build.FOLDER / f"{name}.cpp"


def versions(name: str) -> dict[str, str]:
    """Give what a library depends on: the code, and the compiler where there is one."""
    return native_build.versions(source(name))


def library(name: str) -> ctypes.CDLL:
    """Load the library of a file in `native/`.

    Raises:
        EngineError: There is no compiler, it fails, or what it made can't be loaded; one line.
    """
    try:
        return native_build.library(source(name))
    except BuildError as error:
        raise EngineError(str(error)) from error
