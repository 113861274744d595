"""Every run in a folder: what was asked for, how far it came, and what tells runs apart."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from convatlas.errors import FileError, InputError
from convatlas.train.folder import RunFiles, flat, read_json

# what a test is summed up by: the first of these that it has
HEADLINES = ("top1_accuracy", "mean_iou")
# of an epoch: what is drawn, the first that is there
WATCHED = ("val_accuracy", "val_mean_iou")
_SAME = ("versions", "images", "manifest")  # no setting of a user's


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it lies in its folder, finished or not.

    Attributes:
        path: The folder.
        config: What was asked for.
        epochs: The lines of `metrics.jsonl`.
        test: What `test.json` says; None before the test.
        state: `finished`, or `unfinished`: running, stopped or killed.
        changed: When its metrics or its result were last written.
    """

    path: Path
    config: dict[str, Any]
    epochs: list[dict[str, Any]]
    test: dict[str, Any] | None
    state: Literal["finished", "unfinished"]
    changed: datetime

    @property
    def tested(self) -> tuple[str, float] | None:
        """Name and value of what sums its test up."""
        return _first(self.test or {}, HEADLINES)

    @property
    def watched(self) -> tuple[str, float] | None:
        """Name and value of what was watched, in the last epoch."""
        return _first(self.epochs[-1] if self.epochs else {}, WATCHED)

    def curve(self, name: str) -> list[tuple[int, float]]:
        """Give the epochs that know a metric, with its value."""
        return [
            (epoch["epoch"], epoch[name]) for epoch in self.epochs if epoch.get(name) is not None
        ]

    def to_dict(self) -> dict[str, Any]:
        """Give what JSON can hold: settings and results, without the matrix and the mistakes."""
        plain = {k: v for k, v in (self.test or {}).items() if isinstance(v, int | float)}
        return {
            "folder": str(self.path),
            "state": self.state,
            "changed": self.changed.isoformat(timespec="seconds"),
            "config": self.config,
            "epochs": self.epochs,
            "test": plain or None,
        }


def find_runs(places: Iterable[str | Path]) -> tuple[list[Run], dict[Path, str]]:
    """Read the runs in and below some folders, in the order of their paths.

    Args:
        places: Run folders, or folders that hold them at any depth.

    Returns:
        The runs, and for each folder that holds a broken one what is wrong with it.

    Raises:
        FileError: There is no such folder.
    """
    runs, broken = dict[Path, Run](), dict[Path, str]()
    for place in map(Path, places):
        if not place.is_dir():
            raise FileError(f"no folder {place}")
        for config in sorted(place.rglob("config.json")):
            folder = config.parent
            if not _looks_like_run(folder):
                continue
            try:
                runs[folder] = read_progress(folder)
            except FileError as error:
                broken[folder] = str(error)
    return list(runs.values()), broken


def read_progress(folder: str | Path) -> Run:
    """Read a run, finished or not; `read_run` reads a finished one whole.

    Raises:
        FileError: A file is missing, not JSON, or no run's.
    """
    files = RunFiles(Path(folder))
    config = read_json(files.config)
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise FileError(f"{files.config} is not the config of a run: it names no architecture")
    test = read_json(files.test) if files.test.exists() else None
    if test is not None and not isinstance(test, dict):
        raise FileError(f"{files.test} is not a JSON object")
    return Run(
        path=files.path,
        config=config,
        epochs=_epochs(files.metrics) if files.metrics.exists() else [],
        test=test,
        state="finished" if files.model.exists() and test is not None else "unfinished",
        changed=_changed(files),
    )


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Give the settings in which runs differ: dotted name -> the value of each run.

    Raises:
        InputError: There is nothing to compare with.
    """
    if len(runs) < 2:
        raise InputError(f"comparing takes at least two runs, not {len(runs)}")
    settings = [flat(run.config) for run in runs]
    names = dict.fromkeys(name for values in settings for name in values)
    rows = {name: [values.get(name) for values in settings] for name in names}
    return {
        name: values
        for name, values in rows.items()
        if name.partition(".")[0] not in _SAME and any(value != values[0] for value in values)
    }


def _looks_like_run(folder: Path) -> bool:
    """Tell a run from what else has a config.json, such as a model of the hub."""
    files = RunFiles(folder)
    return files.metrics.exists() or files.test.exists() or files.checkpoints.folder.is_dir()


def _epochs(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        epochs = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise FileError(f"{path} is damaged: {error}") from error
    if not all(isinstance(epoch, dict) and isinstance(epoch.get("epoch"), int) for epoch in epochs):
        raise FileError(f"{path} holds a line that is not an epoch")
    return epochs


def _changed(files: RunFiles) -> datetime:
    places = (files.config, files.metrics, files.test, files.model)
    return datetime.fromtimestamp(max(p.stat().st_mtime for p in places if p.exists())).astimezone()


def _first(numbers: dict[str, Any], names: Sequence[str]) -> tuple[str, float] | None:
    found = (name for name in names if isinstance(numbers.get(name), int | float))
    name = next(found, None)
    return None if name is None else (name, float(numbers[name]))
