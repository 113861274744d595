"""Packages that only some users need: imported where they are used, or one clear line."""

import importlib
import importlib.util
import sys
from types import ModuleType

from convatlas.errors import InputError


def missing(packages: tuple[str, ...]) -> list[str]:
    """Name the packages that are not installed, without importing any."""
    return [package for package in packages if importlib.util.find_spec(package) is None]


def check_installed(packages: tuple[str, ...], extra: str, what: str) -> None:
    """Refuse to go on without packages, and name the extra that brings them.

    Raises:
        InputError: One is missing.
    """
    absent = missing(packages)
    if absent:
        raise InputError(f"{what} needs {' and '.join(absent)}: pip install 'convatlas[{extra}]'")


def import_openvino() -> ModuleType:
    """Import OpenVINO, which reports each conversion to its makers unless it can't.

    Where its reporting package is not importable, OpenVINO's own stand-in takes its place.
    """
    check_installed(("openvino",), "openvino", "OpenVINO")
    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # ty: ignore[invalid-assignment]  # as documented
    return importlib.import_module("openvino")
