"""How every benchmark keeps what it found: with date, machine, versions and commit."""

import json
import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from convatlas.files import write_text

END = "<!-- end of the table -->"
RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("torch", "numpy", "pillow", "torchvision", "timm", "openvino", "onnxruntime")


def write_record(name: str, rows: Any, **more: Any) -> Path:
    """Write `rows` to results/<date>-<machine>-<name>.json and give its path.

    Args:
        name: Of the benchmark.
        rows: What was measured; JSON.
        more: What else a reader should know, such as the versions of a peer's environment.
    """
    path = RESULTS / f"{date.today()}-{machine_name()}-{name}.json"
    path.parent.mkdir(exist_ok=True)
    record = {"benchmark": name, **stamp(), **more, "rows": rows}
    write_text(path, json.dumps(record, indent=2) + "\n")
    return path


def rows_of_today(name: str) -> list[dict[str, Any]]:
    """Give what a former run of this day kept; nothing where there was none."""
    path = RESULTS / f"{date.today()}-{machine_name()}-{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []


def with_rows_of_today(
    name: str, rows: Sequence[dict[str, Any]], key: Callable[[dict[str, Any]], Any]
) -> list[dict[str, Any]]:
    """Put rows behind those of this day that tell of something else.

    Args:
        name: Of the benchmark.
        rows: What was measured now.
        key: Of a row, what it tells of.
    """
    renewed = [key(row) for row in rows]
    return [*(row for row in rows_of_today(name) if key(row) not in renewed), *rows]


def put_table(page: Path, begin: str, text: str, end: str = END) -> None:
    """Put text between two marks of a page, in the place of what stood there."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    write_text(page, before + begin + text + end + rest.partition(end)[2])


def stamp() -> dict[str, Any]:
    """Give date, machine, versions and commit of this run."""
    return {
        "date": str(date.today()),
        "machine": {
            "name": machine_name(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {"python": platform.python_version(), **_versions()},
        "commit": _commit(),
    }


def machine_name() -> str:
    """Name the kind of machine, not the machine: "2-cores-x86_64"."""
    return f"{os.cpu_count()}-cores-{platform.machine()}"


def processor() -> str:
    """Give the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """Give the commit, marked where the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    place = Path(__file__).parent
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, check=False)
    return done.stdout.strip() or "unknown"
