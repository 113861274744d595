"""A study from start to end, in a folder that it can be taken up from at any moment."""

import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from convatlas import __version__
from convatlas.errors import InputError
from convatlas.files import write_text
from convatlas.plots import check_chart, write_chart
from convatlas.studies.events import Going, Measured, StudyProgress, unseen
from convatlas.studies.images import AS_NAMED, Choice
from convatlas.studies.measurement import FOLDER, UNFINISHED, Place, measure, slug
from convatlas.studies.pool import Task, measured_by_processes
from convatlas.studies.study import Case, Results, Scale, Study, StudyResult
from convatlas.train.lock import locked
from convatlas.train.threads import on_threads

RESULT, CHART = "result.json", "chart.svg"


def run_study(
    study: Study,
    out: str | Path,
    *,
    scale: Scale = "small",
    seeds: Sequence[int] = (0, 1, 2),
    choice: Choice = AS_NAMED,
    workers: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: StudyProgress = unseen,
) -> StudyResult:
    """Measure all cases of a study for all seeds, and judge.

    The folder holds `measurements/`, a file for each case and seed, and at the end `result.json`
    and `chart.svg`. Measurements at the small scale use one thread each, so that they are the
    same on machines with other numbers of cores.

    Args:
        study: What to do.
        out: The folder; made if missing.
        scale: "small", for minutes on two cores, or "paper", as the paper did it.
        seeds: Different ones.
        choice: Where images are read from.
        workers: Processes that measure at once; 1: this one.
        resume: Take up what the folder holds.
        overwrite: Remove it first.
        stop: Asked again and again: True keeps what is done and raises.
        progress: Told what happens.

    Raises:
        InputError: No seeds, or equal ones; the folder holds a study already.
        FileError: Something can't be read or written.
        StoppedError: `stop` said so; `resume` goes on.
    """
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise InputError(f"seeds are different numbers from 0 on, not {list(seeds)}")
    if workers < 1:
        raise InputError(f"workers must be at least 1, not {workers}")
    check_chart(CHART)
    out = Path(out)
    cases = tuple(study.cases(scale))
    _check_names(study, cases)
    with locked(out):
        _enter(out, resume=resume, overwrite=overwrite)
        named = study.source_of(scale)
        images = choice.describe(named) if named else {}
        place = Place(out, choice, json.dumps(images.get("manifest"), sort_keys=True))
        found = dict[tuple[str, int], dict[str, Any]]()
        for key, content in _measurements(
            study, scale, cases, seeds, place, workers, stop=stop, progress=progress
        ):
            found[key] = content
        rows = {c.name: tuple(found[c.name, seed]["measured"] for seed in seeds) for c in cases}
        results = Results(tuple(seeds), rows)
        result = StudyResult(
            study,
            scale,
            out,
            results,
            tuple(study.judge(results)),
            images,
            sum(content["seconds"] for content in found.values()),
            environment(),
        )
        write_chart(out / CHART, lambda: study.chart.draw(results), description=study.chart.title)
        write_text(out / RESULT, json.dumps(result.to_dict(), indent=2) + "\n")
    shutil.rmtree(out / UNFINISHED, ignore_errors=True)
    return result


def environment() -> dict[str, Any]:
    """Give versions and machine."""
    return {
        "convatlas": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


def _enter(out: Path, *, resume: bool, overwrite: bool) -> None:
    if overwrite and not resume:
        for name in (FOLDER, UNFINISHED):
            shutil.rmtree(out / name, ignore_errors=True)
        for name in (RESULT, CHART):
            (out / name).unlink(missing_ok=True)
    elif not resume and (out / FOLDER).exists():
        raise InputError(
            f"{out} holds a study already: --resume takes up what is done, --overwrite starts again"
        )


def _check_names(study: Study, cases: Sequence[Case]) -> None:
    names = [slug(case.name) for case in cases]
    if len(set(names)) < len(names):
        raise ValueError(f"cases of {study.name} share a name: {names}")


def _measurements(
    study: Study,
    scale: Scale,
    cases: Sequence[Case],
    seeds: Sequence[int],
    place: Place,
    workers: int,
    *,
    stop: Callable[[], bool],
    progress: StudyProgress,
) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    """Give (case, seed) and its measurement: first those that are there, then those that come."""
    missing, done, count = list[tuple[Case, int]](), 0, len(cases) * len(seeds)

    def tell(case: str, seed: int, content: dict[str, Any], seconds: float) -> None:
        nonlocal done
        done += 1
        progress(Measured(study.name, case, seed, done, count, seconds, content["measured"]))

    for seed in seeds:
        for case in cases:
            content = place.known(case, seed)
            if content is None:
                missing.append((case, seed))
            else:
                tell(case.name, seed, content, 0.0)
                yield (case.name, seed), content
    threads = 1 if scale == "small" else max(1, (os.cpu_count() or 1) // workers)
    if min(workers, len(missing)) > 1:
        tasks = [Task(study.name, scale, case.name, seed, place) for case, seed in missing]
        found = measured_by_processes(
            tasks, min(workers, len(missing)), threads, stop=stop, progress=progress
        )
        pairs = ((task.case, task.seed, content) for task, content in found)
    else:
        pairs = _measured_here(study, missing, place, threads, stop=stop, progress=progress)
    for name, seed, content in pairs:
        tell(name, seed, content, content["seconds"])
        yield (name, seed), content


def _measured_here(
    study: Study,
    missing: Sequence[tuple[Case, int]],
    place: Place,
    threads: int,
    *,
    stop: Callable[[], bool],
    progress: StudyProgress,
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    with on_threads(threads):
        for case, seed in missing:

            def tell(epoch: int, epochs: int, name: str = case.name, number: int = seed) -> None:
                progress(Going(study.name, name, number, epoch, epochs))

            yield case.name, seed, measure(place, case, seed, stop=stop, told=tell)
