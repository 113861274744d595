"""One run from start to end, in a folder that it can be taken up from at any moment."""

import contextlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from convatlas.analysis.report import analyze
from convatlas.catalog import build_meta
from convatlas.data.packed import packing_told
from convatlas.data.sources import Source
from convatlas.data.tolerant import tolerant
from convatlas.errors import FileError
from convatlas.evaluate.devices import device_words
from convatlas.train.bad_images import BadImages, SharedBadImages
from convatlas.train.beginning import begin, keep
from convatlas.train.determinism import deterministic_algorithms
from convatlas.train.distributed import FailedElsewhereError, Ranks
from convatlas.train.events import Download, Notice, Progress, ignore
from convatlas.train.finetuning import FRESH, Start
from convatlas.train.finishing import finish, keep_best
from convatlas.train.folder import RunFiles, read_json, write_json
from convatlas.train.lock import locked
from convatlas.train.loop import Data, fit
from convatlas.train.options import DEFAULTS, RunOptions
from convatlas.train.passes import check_passes
from convatlas.train.placement import computing_on
from convatlas.train.plan import Plan, make_plan
from convatlas.train.products import quick_products
from convatlas.train.signals import StoppedError
from convatlas.train.state import State
from convatlas.train.step import DivergedError
from convatlas.train.tasks import Classification
from convatlas.train.threads import threads_for, threads_of
from convatlas.train.tracking import tracked
from convatlas.train.tuning import tuned


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
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    accept_data: bool = False,
    root: str | Path | None = None,
    start: Start = FRESH,
    options: RunOptions = DEFAULTS,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = ignore,
) -> RunResult:
    """Train a network, test it once, and leave everything in a folder.

    Several processes, `options.ranks`, all call this with the same values; the first one writes
    and tells, and all get the result. After a restart by torchrun it goes on as with `resume`.

    The folder holds `config.json`, `metrics.jsonl`, `checkpoints/`, `best.safetensors` (of the
    epoch that validated best), `bad_images.txt` if there are any, and at the end `test.json` and
    `model.safetensors`. Its result are the weights of the last epoch (their average, where the
    recipe has one); no image chooses anything of it.

    Args:
        name: A network, see `convatlas.variants()`.
        source_text: Images, such as "digits" or "folder:PATH".
        out: The folder; made if missing.
        recipe_name: None: the architecture's recipe for these images, else its first.
        seed: Of weights, order, augmentation and dropout.
        epochs: Other than the recipe's; the schedule is stretched to match.
        changes: Fields of the recipe by dotted name, such as `{"optimizer.lr": 0.1}`.
        overrides: Fields of the network's spec, such as `{"width": 16}`.
        resume: Go on with the run that `out` holds.
        overwrite: Start again where `out` holds a run.
        accept_data: Go on although the images have changed since the run began.
        root: Where downloaded data lies.
        start: What the network begins with, and which of it may change.
        options: How to compute.
        stop: Asked after every step: True keeps the state and returns.
        progress: Told what happens.

    Raises:
        UnknownNameError: No such network, source, recipe or field.
        InputError: A value that can't be trained with; a folder in use; other settings than
            those of the run to go on with.
        FileError: Something can't be read or written.
        DivergedError: The loss, a gradient or the weights are not finite; the last checkpoint
            stays.
        MemoryShortError: One image at a time is too much for the memory.
        FailedElsewhereError: Any of these in another process of `options.ranks`.
        StoppedError: `stop` said so while images were downloaded, before the run had begun.
    """

    def tell_of_download(file: str, done: int, total: int | None) -> None:
        if stop():
            raise StoppedError
        progress(Download(file, done, total))

    ranks = options.ranks
    progress = progress if ranks.first else ignore
    plan = ranks.prepared(
        lambda: make_plan(
            name,
            source_text,
            recipe_name=recipe_name,
            seed=seed,
            epochs=epochs,
            changes=changes,
            overrides=overrides,
            root=None if root is None else Path(root),
            start=start,
            download=tell_of_download,
        )
    )
    place = options.place
    if place is not None and place.type != "cpu":
        progress(Notice(f"computing on {device_words(place)}"))
    if isinstance(plan.source, Source):
        for text in packing_told(plan.source.card, plan.preprocessing, plan.recipe.augment):
            progress(Notice(text))
    macs = _macs_of_step(plan) / ranks.size
    config = plan.to_config() | {"options": options.to_config(threads_of(macs))}
    ranks.check_alike({key: value for key, value in config.items() if key != "root"})
    check_passes(plan, options)
    options = tuned(options, macs)
    files = RunFiles(Path(out))
    with (
        computing_on(place),
        threads_for(macs),
        quick_products(options.fused and (place is None or place.type == "cpu")),
        deterministic_algorithms(options.deterministic),
        ranks.entered_by_first(locked(files.path)),
    ):
        state = begin(
            files,
            plan,
            config,
            resume=resume or ranks.restarted,
            overwrite=overwrite,
            accept_data=accept_data,
            options=options,
            progress=progress,
        )
        with contextlib.suppress(StoppedError), _divergence_told(files, ranks):
            _train(files, plan, config, state, options, stop, progress)
    return ranks.by_first(partial(_result, files, plan, state))


def _train(
    files: RunFiles,
    plan: Plan,
    config: Mapping[str, Any],
    state: State,
    options: RunOptions,
    stop: Callable[[], bool],
    progress: Progress,
) -> None:
    trackers = options.track if options.ranks.first else ()
    with tracked(progress, trackers, files.path, config) as progress:
        bad = SharedBadImages(BadImages(files.bad_images, progress), options.ranks)
        plan = replace(plan, source=tolerant(plan.source, options.max_bad, bad))
        task = plan.task
        if isinstance(task, Classification):
            task = replace(task, device=options.place)

        def keep_all(state: State) -> None:
            bad.gather()
            keep_best(files, plan, config, options, state)
            keep(files, options, state)

        fit(
            state,
            plan.recipe,
            Data(plan.source.train, plan.source.val, task),
            seed=plan.seed,
            options=options,
            keep=keep_all,
            stop=stop,
            progress=progress,
        )
        finish(files, plan, config, state, options, stop)
        bad.gather()


def _result(files: RunFiles, plan: Plan, state: State) -> RunResult:
    return RunResult(
        folder=files.path,
        state="finished" if state.finished else "stopped",
        architecture=plan.name,
        source=plan.source_text,
        recipe_name=plan.recipe_name,
        seed=plan.seed,
        epochs=len(state.records),
        val_accuracy=state.records[-1]["val_accuracy"] if state.records else None,
        test=plan.task.summary(read_json(files.test)) if state.finished else None,
    )


@contextlib.contextmanager
def _divergence_told(files: RunFiles, ranks: Ranks) -> Generator[None]:
    """Leave a file with the images of the step in which training went wrong."""
    try:
        yield
    except DivergedError as error:
        if not ranks.first:  # all processes find it in the same step
            raise FailedElsewhereError("process 0 says why") from error
        with contextlib.suppress(FileError):  # the other error tells more
            write_json(files.diverged, {"message": str(error), "images": error.images})
        raise


def _macs_of_step(plan: Plan) -> float:
    shape = (plan.in_channels, *plan.preprocessing.size)
    sizes = {"num_classes": plan.num_classes, "in_channels": plan.in_channels}
    network = build_meta(plan.name, **sizes, **plan.overrides)
    return analyze(network, shape).macs * plan.recipe.batch_size
