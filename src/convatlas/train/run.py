"""One run from start to end, in a folder that it can be taken up from at any moment."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from convatlas.analysis.report import analyze_name
from convatlas.catalog import build
from convatlas.train.events import Download, Notice, Progress, ignore
from convatlas.train.folder import RunFiles, read_json, write_json
from convatlas.train.loop import Data, fit, test_network
from convatlas.train.options import DEFAULTS, RunOptions
from convatlas.train.plan import Plan, make_plan
from convatlas.train.signals import StoppedError
from convatlas.train.state import State
from convatlas.train.threads import threads_for
from convatlas.train.tracking import tracked
from convatlas.weights.store import save


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Attributes:
        folder: Where everything lies.
        state: `finished`, or `stopped`: it can be taken up again.
        architecture: The network.
        source: The images.
        recipe_name: The recipe.
        seed: Of everything random.
        epochs: Epochs done.
        val_accuracy: Of the last epoch; None before the first one is done.
        test: What the task's `summary` says of the test images, such as `top1_accuracy`; None
            unless finished.
    """

    folder: Path
    state: Literal["finished", "stopped"]
    architecture: str
    source: str
    recipe_name: str
    seed: int
    epochs: int
    val_accuracy: float | None
    test: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON takes them."""
        return {**asdict(self), "folder": str(self.folder)}


def start_run(
    name: str,
    source_text: str,
    *,
    out: str | Path,
    recipe_name: str | None = None,
    seed: int = 0,
    epochs: int | None = None,
    changes: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    root: str | Path | None = None,
    options: RunOptions = DEFAULTS,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = ignore,
) -> RunResult:
    """Train a network, test it once, and leave everything in a folder.

    The folder holds `config.json`, `metrics.jsonl`, `checkpoints/`, and at the end `test.json`
    and `model.safetensors`. Its result are the weights of the last epoch (their average, where
    the recipe has one); the test images choose nothing.

    Args:
        name: A network, see `convatlas.variants()`.
        source_text: Images, such as "digits" or "folder:PATH".
        out: The folder; made if missing.
        recipe_name: None: the architecture's recipe for these images, else its first.
        seed: Of weights, order, augmentation and dropout.
        epochs: Other than the recipe's; the schedule is stretched to match.
        changes: Fields of the recipe by dotted name, such as `{"optimizer.lr": 0.1}`.
        resume: Go on with the run that `out` holds.
        overwrite: Start again where `out` holds a run.
        root: Where downloaded data lies.
        options: How to compute.
        stop: Asked after every step: True keeps the state and returns.
        progress: Told what happens.

    Raises:
        UnknownNameError: No such network, source, recipe or field.
        InputError: A value that can't be trained with; a folder in use; other settings than
            those of the run to go on with.
        FileError: Something can't be read or written.
        DivergedError: The loss or the weights are not finite; the last checkpoint stays.
        StoppedError: `stop` said so while images were downloaded, before the run had begun.
    """

    def tell_of_download(file: str, done: int, total: int | None) -> None:
        if stop():
            raise StoppedError
        progress(Download(file, done, total))

    plan = make_plan(
        name,
        source_text,
        recipe_name=recipe_name,
        seed=seed,
        epochs=epochs,
        changes=changes,
        root=None if root is None else Path(root),
        download=tell_of_download,
    )
    files = RunFiles(Path(out))
    # the caller's own chance goes on as if nothing was
    with torch.random.fork_rng(devices=()), threads_for(_macs_of_step(plan)):
        torch.manual_seed(seed)
        model = build(name, plan.num_classes, plan.in_channels)
        state = State.fresh(model, plan.recipe)
        if overwrite and not resume:
            files.clear()
        config = plan.to_config() | {"options": options.to_config()}
        _enter(files, config, state, resume, progress)
        with (
            tracked(progress, options.track, files.path, config) as progress,
            contextlib.suppress(StoppedError),
        ):
            fit(
                state,
                plan.recipe,
                Data(plan.source.train, plan.source.val, plan.task),
                seed=seed,
                options=options,
                keep=partial(_keep, files),
                stop=stop,
                progress=progress,
            )
            _finish(files, plan, state, options.workers, stop)
    return RunResult(
        folder=files.path,
        state="finished" if state.finished else "stopped",
        architecture=name,
        source=source_text,
        recipe_name=plan.recipe_name,
        seed=seed,
        epochs=len(state.records),
        val_accuracy=state.records[-1]["val_accuracy"] if state.records else None,
        test=plan.task.summary(read_json(files.test)) if state.finished else None,
    )


def _macs_of_step(plan: Plan) -> float:
    shape = (plan.in_channels, *plan.preprocessing.size)
    return analyze_name(plan.name, shape, plan.num_classes).macs * plan.recipe.batch_size


def _enter(
    files: RunFiles, config: dict[str, Any], state: State, resume: bool, progress: Progress
) -> None:
    """Start in a folder without a run, or bring `state` to where the folder's run stands."""
    content = None
    if resume and files.config.exists():
        files.check_same(config)
        files.sweep()
        content = files.checkpoints.newest()
    else:
        files.start(config)
    if content is not None:
        state.restore(content)
        where = (
            "is finished: nothing to do" if state.finished else f"goes on from step {state.step}"
        )
        progress(Notice(f"the run in {files.path} {where}"))
    elif resume:
        progress(Notice(f"{files.path} holds no checkpoint: starting from the beginning"))
    if content is None:
        _keep(files, state)
    else:
        files.write_metrics(state.records)  # those after the checkpoint will come again


def _keep(files: RunFiles, state: State) -> None:
    files.checkpoints.save(state.step, state.to_dict())
    files.write_metrics(state.records)


def _finish(
    files: RunFiles, plan: Plan, state: State, workers: int, stop: Callable[[], bool]
) -> None:
    """Test and write the result; what a former process has done is not done again."""
    if state.finished:
        return

    def stop_if_asked(*_: int) -> None:
        if stop():
            raise StoppedError  # the state after the last epoch is kept already

    if not files.test.exists():
        evaluation = test_network(state, plan.task, plan.source.test, workers, stop_if_asked)
        write_json(files.test, evaluation.to_dict())
    metrics = {
        "epochs": len(state.records),
        "val_accuracy": state.records[-1]["val_accuracy"],
        "val_loss": state.records[-1]["val_loss"],
        "test": plan.task.summary(read_json(files.test)),
    }
    config = plan.to_config()
    kept = ("classes", "preprocessing", "source", "recipe_name", "recipe", "seed")
    save(state.result, files.model, {key: config[key] for key in kept} | {"metrics": metrics})
    state.finished = True
    _keep(files, state)
