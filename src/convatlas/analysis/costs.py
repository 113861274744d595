"""What every network of the catalog costs, kept from one call to the next."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

from convatlas import catalog
from convatlas.analysis.code import code_digest
from convatlas.analysis.report import analyze_name
from convatlas.errors import FileError
from convatlas.files import cache_folder, write_text

Costs = dict[str, tuple[int, int]]  # name -> parameters, MACs


def catalog_costs(progress: Callable[[int, int], None] | None = None) -> Costs:
    """Give parameters and MACs of every network on its own input.

    They are kept in CONVATLAS_CACHE (~/.cache/convatlas), in `costs/costs.json`, for as long as
    the code that builds and counts the networks and the version of torch stay the same.

    Args:
        progress: Called before each network that must be counted: how many are, of how many.
    """
    path, key = cache_folder("costs") / "costs.json", code_digest()
    kept = _read(path, key)
    missing = [name for name in catalog.variants() if name not in kept]
    for done, name in enumerate(missing):
        if progress is not None:
            progress(done, len(missing))
        report = analyze_name(name)
        kept[name] = (report.params, report.macs)
    if missing:
        with contextlib.suppress(FileError):  # a cache that can't be written only costs time
            write_text(path, json.dumps({"key": key, "costs": kept}))
    return {name: kept[name] for name in catalog.variants()}


def _read(path: Path, key: str) -> Costs:
    """Read what was kept; nothing where it is missing, damaged or of other code."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] != key:
            return {}
        return {name: (int(params), int(macs)) for name, (params, macs) in kept["costs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
