"""The folder of a run: what lies in it, and whether a run may start or go on there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convatlas.errors import FileError, InputError
from convatlas.evaluate import readings
from convatlas.files import write_text
from convatlas.train.checkpoint import Checkpoints
from convatlas.train.shards import ShardedCheckpoints
from convatlas.weights.store import FILE_NAME

# how `whole_file` calls what it has not yet renamed
_UNFINISHED = tuple(
    f".{name}"
    for name in (
        "best.",
        "config.",
        "diverged.",
        "metrics.",
        "test.",
        "test_reads.",
        "model.",
        "step-",
    )
)
_MAY_DIFFER = ("root", "versions")  # where the same images lie, and what is installed
_DATA = ("images", "manifest")  # how many images there are, and which
_MICRO_BATCH, _DEVICE = "options.micro_batch", "options.device"


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files of one run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """What was asked for; JSON."""
        return self.path / "config.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a line for each epoch."""
        return self.path / "metrics.jsonl"

    @property
    def model(self) -> Path:
        """The trained network, once the run is done."""
        return self.path / FILE_NAME

    @property
    def best(self) -> Path:
        """The network as it was after the epoch that validated best, for who wants to pick."""
        return self.path / "best.safetensors"

    @property
    def test(self) -> Path:
        """The evaluation on the test images, once the run is done; JSON."""
        return self.path / "test.json"

    @property
    def report(self) -> Path:
        """What `convatlas.report.run_report` writes; a page to look at."""
        return self.path / "report.html"

    @property
    def diverged(self) -> Path:
        """Where and at which images training went wrong, if it did; JSON."""
        return self.path / "diverged.json"

    @property
    def card(self) -> Path:
        """What `convatlas.report.model_card` writes; Markdown."""
        return self.path / "MODEL_CARD.md"

    @property
    def tensorboard(self) -> Path:
        """Event files, where TensorBoard is told of the run."""
        return self.path / "tensorboard"

    @property
    def bad_images(self) -> Path:
        """A line for each image that could not be read: its name, a tab, and why."""
        return self.path / "bad_images.txt"

    @property
    def checkpoints(self) -> Checkpoints:
        """States to go on from."""
        return Checkpoints(self.path / "checkpoints")

    @property
    def shards(self) -> ShardedCheckpoints:
        """The same of a run whose weights are spread over processes."""
        return ShardedCheckpoints(self.path / "checkpoints")

    def holds_run(self) -> bool:
        """Say whether a run was started here."""
        return any(file.exists() for file in (self.config, self.metrics, self.model, self.test))

    def sweep(self) -> None:
        """Remove half-written files that a killed process has left."""
        for folder in (self.path, self.checkpoints.folder):
            for file in folder.glob(".*.tmp"):
                if file.name.startswith(_UNFINISHED):
                    file.unlink()
        self.shards.sweep()

    def check_free(self) -> None:
        """Refuse to start where a run was started before.

        Raises:
            InputError: The message says what to do.
        """
        if self.holds_run():
            raise InputError(
                f"{self.path} already holds a run: add --resume to go on with it, --overwrite to "
                "start again, or choose another folder with --out"
            )

    def clear(self) -> None:
        """Remove what a run has left, and nothing else.

        Raises:
            FileError: A file can't be removed.
        """
        try:
            self.checkpoints.clear()
            self.shards.clear()
            events = sorted(self.tensorboard.glob("events.out.tfevents.*"))
            pages = (self.report, self.card, self.bad_images, self.diverged)
            networks = (self.best, self.model)
            results = (self.metrics, self.test, self.path / readings.FILE_NAME, self.config)
            for file in (*events, *pages, *networks, *results):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"can't clear {self.path}: {error.strerror or error}") from error

    def check_same(self, config: Mapping[str, Any], accept_data: bool = False) -> list[str]:
        """Refuse to go on with other settings or images than the run was started with.

        Args:
            config: What is asked for now. It may be of fewer images at once, for memory's sake,
                and of another device.
            accept_data: Let the images differ.

        Returns:
            What differs and is accepted, one line each.

        Raises:
            InputError: Something differs; the message names each.
            FileError: `config.json` can't be read.
        """
        old, new = flat(read_json(self.config)), flat(json.loads(json.dumps(config)))
        old.setdefault(_DEVICE, "cpu")  # runs of the days when there was no choice
        different = {
            name: f"{name} was {old.get(name)!r}, is {new.get(name)!r}"
            for name in {**old, **new}
            if name.partition(".")[0] not in _MAY_DIFFER and old.get(name) != new.get(name)
        }
        if _is_smaller(new.get(_MICRO_BATCH), old.get(_MICRO_BATCH)):
            different.pop(_MICRO_BATCH, None)
        device = different.pop(_DEVICE, None)
        of_data = [text for name, text in different.items() if name.partition(".")[0] in _DATA]
        if len(of_data) < len(different):
            raise InputError(
                f"{self.path} was started with other settings: {'; '.join(different.values())}; "
                "give the same ones, start again with --overwrite, or take another --out"
            )
        if of_data and not accept_data:
            raise InputError(
                f"the images have changed since {self.path} was started: {'; '.join(of_data)}; "
                "bring back the old ones, go on with --accept-data, or start again with --overwrite"
            )
        accepted = []
        if of_data:
            accepted.append(f"the images have changed and are accepted: {'; '.join(of_data)}")
        if device is not None:
            accepted.append(f"{device}: another device rounds otherwise")
        return accepted

    def write_metrics(self, records: list[dict[str, Any]]) -> None:
        """Write a line for each record, and no other.

        Raises:
            FileError: The disk is full; the old lines stay.
        """
        write_text(self.metrics, "".join(json.dumps(record) + "\n" for record in records))


def _is_smaller(new: int | None, old: int | None) -> bool:
    """Compare images that are computed at once; None: the whole batch."""
    return new is not None and (old is None or new < old)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run.

    Raises:
        FileError: It is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise FileError(f"{path} is damaged: {error}") from error


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Turn {"recipe": {"epochs": 3}} into {"recipe.epochs": 3}."""
    if not isinstance(value, Mapping):
        return {name: value}
    found: dict[str, Any] = {}
    for key, part in value.items():
        found |= flat(part, f"{name}.{key}" if name else key)
    return found
