"""How often a run's test images were looked at: what is chosen by them is no longer measured.

The training reads them once and writes `test.json`. Every later evaluation of the run on them is
a line of `test_reads.jsonl` beside it.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from convatlas.errors import FileError
from convatlas.files import write_text

FILE_NAME = "test_reads.jsonl"
_NETWORKS = ("model.safetensors", "best.safetensors")
_OF_A_RUN = ("config.json", "metrics.jsonl")  # a folder that was handed on has the first alone


def run_of(model: str | Path) -> Path | None:
    """Give the folder of the run whose last or best network `model` is; None: it is no run's."""
    path = Path(model)
    folder = path if path.is_dir() else path.parent
    own = path.is_dir() or path.name in _NETWORKS
    return folder if own and all((folder / file).is_file() for file in _OF_A_RUN) else None


def is_own_test_split(folder: Path, source: str, root: str | Path | None) -> bool:
    """Say whether a source holds the test images of a run.

    Args:
        folder: Of the run.
        source: As `open_source` takes it.
        root: Likewise.

    Raises:
        FileError: The run's config.json can't be read.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        own, own_root = config["source"], config.get("root")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(f"{path} does not tell which images the run has: {error}") from error
    return _place(source, root) == _place(own, own_root)


def readings(folder: Path) -> list[dict[str, Any]]:
    """Give the evaluations of a run on its test images after its training, the oldest first.

    Raises:
        FileError: The file can't be read.
    """
    path = folder / FILE_NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines if line.strip()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise FileError(f"{path} can't be read: {error}") from error
    if not all(isinstance(reading, dict) for reading in found):
        raise FileError(f"{path} holds a line that is no JSON object")
    return found


def count_readings(folder: Path) -> int:
    """Count how often a run's test images were read, its own test at the end included."""
    return len(readings(folder)) + (folder / "test.json").exists()


def note_reading(folder: Path, what: Mapping[str, Any]) -> int:
    """Keep that a run's test images were read again, and count how often they were.

    Args:
        folder: Of the run.
        what: JSON values that tell of it: the protocol, what was found.

    Raises:
        FileError: The folder can't be written.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds")
    found = [*readings(folder), {"when": when, **what}]
    write_text(folder / FILE_NAME, "".join(f"{json.dumps(line)}\n" for line in found))
    return count_readings(folder)


def _place(source: str, root: str | Path | None) -> str:
    """Give one text to one source, however its path is written."""
    kind, colon, path = source.partition(":")
    if not colon:
        return source  # official files are the same wherever they lie
    return f"{kind}:{(Path(root or '') / Path(path).expanduser()).resolve()}"
