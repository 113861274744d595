"""Metrics for other programs to draw: TensorBoard's event files, an MLflow server.

`metrics.jsonl` is written by every run, whatever is asked for here.
"""

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from convatlas.errors import InputError, unknown
from convatlas.train.events import EpochDone, Event, Notice, Progress, StepDone
from convatlas.train.folder import RunFiles, flat

STEPS_APART = 20  # between two steps whose loss is told


class Tracker(Protocol):
    """Takes numbers by name, as they were after a step."""

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Keep `numbers`."""
        ...

    def close(self) -> None:
        """Write what is not written."""
        ...


class TensorBoard:
    """Event files in a folder; `tensorboard --logdir runs` shows them."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder, self.config, self.writer = RunFiles(folder).tensorboard, config, None

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Keep scalars; what a former process told of later steps is dropped at the first call."""
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(self.folder), purge_step=step)
            rows = (f"| {key} | {value} |" for key, value in flat(self.config).items())
            self.writer.add_text("config", "\n".join(["| setting | value |", "|---|---|", *rows]))
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is not written."""
        if self.writer is not None:
            self.writer.close()


class MLflow:
    """A run on the server that MLFLOW_TRACKING_URI names, called like the folder."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.mlflow = mlflow = importlib.import_module("mlflow")
        found = mlflow.search_runs(
            filter_string=f"tags.folder = '{folder.resolve()}'", output_format="list"
        )
        known = found[0].info.run_id if found else None  # a resumed run goes on in its own
        mlflow.start_run(run_id=known, run_name=None if known else folder.name)
        if known is None:
            mlflow.set_tag("folder", str(folder.resolve()))
            mlflow.log_params({key: str(value)[:500] for key, value in flat(config).items()})

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Send metrics."""
        self.mlflow.log_metrics(dict(numbers), step=step)

    def close(self) -> None:
        """End the run on the server."""
        self.mlflow.end_run()


# name -> (what it needs, the extra that installs it, how it is made)
TRACKERS: dict[str, tuple[str, str, Callable[[Path, Mapping[str, Any]], Tracker]]] = {
    "tensorboard": ("tensorboard", "tensorboard", TensorBoard),
    "mlflow": ("mlflow", "mlflow", MLflow),
}


def check_trackers(names: Sequence[str]) -> None:
    """Refuse a tracker that there is not, or that is not installed.

    Raises:
        UnknownNameError: There is none of that name.
        InputError: Its library is missing; the message names the extra.
    """
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS)
        module, extra, _ = TRACKERS[name]
        if importlib.util.find_spec(module) is None:
            raise InputError(f"{name} is not installed: pip install 'convatlas[{extra}]'")


def default_trackers() -> tuple[str, ...]:
    """Give what tracks without being asked: TensorBoard's event files, where it is installed."""
    return ("tensorboard",) if importlib.util.find_spec("tensorboard") else ()


@contextlib.contextmanager
def tracked(
    progress: Progress, names: Sequence[str], folder: Path, config: Mapping[str, Any]
) -> Generator[Progress]:
    """Tell trackers what `progress` is told.

    A tracker that fails, as when its server is gone, is left out from then on with a notice:
    training goes on.

    Args:
        progress: Is told everything, and of trackers that fail.
        names: Keys of `TRACKERS`, which `check_trackers` has let pass.
        folder: Of the run.
        config: Its settings.

    Yields:
        What the training is to tell its events.
    """
    open_trackers: dict[str, Tracker] = {}

    @contextlib.contextmanager
    def guarded(name: str) -> Generator[None]:
        try:
            yield
        except Exception as error:
            open_trackers.pop(name, None)
            reason = " ".join(str(error).split()) or type(error).__name__
            progress(Notice(f"{name} takes no more metrics, training goes on: {reason}"))

    def tell(event: Event) -> None:
        numbers, step = _numbers(event)
        for name, tracker in list(open_trackers.items()) if numbers else ():
            with guarded(name):
                tracker.log(numbers, step)
        progress(event)

    for name in names:
        with guarded(name):
            open_trackers[name] = TRACKERS[name][2](folder, config)
    try:
        yield tell
    finally:
        for name, tracker in list(open_trackers.items()):
            with guarded(name):
                tracker.close()


def _numbers(event: Event) -> tuple[dict[str, float], int]:
    """Give the numbers of an event by name, and the step; none for what is not drawn."""
    if isinstance(event, EpochDone):
        record = event.record
        told = {
            _grouped(key): float(value)
            for key, value in record.items()
            if isinstance(value, int | float) and key != "step"
        }
        return told, record["step"]
    if isinstance(event, StepDone) and event.step % STEPS_APART == 0:
        step = (event.epoch - 1) * event.steps + event.step
        return {"running/train_loss": event.loss, "running/train_accuracy": event.accuracy}, step
    return {}, 0


def _grouped(key: str) -> str:
    """Put the curves that belong together side by side: "val_loss" is "loss/val"."""
    split, _, quantity = key.partition("_")
    return f"{quantity}/{split}" if split in ("train", "val") else f"run/{key}"
