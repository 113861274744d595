"""The same run with several seeds: how much of a result is chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convatlas.evaluate.spread import spread
from convatlas.train.events import Notice, Progress, ignore
from convatlas.train.folder import RunFiles, write_json
from convatlas.train.options import DEFAULTS
from convatlas.train.run import RunResult, start_run

FILE_NAME = "seeds.json"
HEADLINES = ("top1_accuracy", "mean_iou")


@dataclass(frozen=True, slots=True)
class SeedsResult:
    """How runs that differ in their seed alone ended.

    Attributes:
        seeds: What was asked for.
        runs: In the order of the seeds; the last one may have been stopped.
    """

    seeds: tuple[int, ...]
    runs: tuple[RunResult, ...]

    @property
    def complete(self) -> bool:
        """Whether all runs are finished."""
        return len(self.results) == len(self.seeds)

    @property
    def metric(self) -> str:
        """What runs are compared by: the top-1 accuracy of a classifier, else the mean overlap."""
        tests = [run.test for run in self.runs if run.test is not None]
        return next((name for name in HEADLINES if tests and name in tests[0]), HEADLINES[0])

    @property
    def results(self) -> list[float]:
        """The metric on the test images of each finished run."""
        return [run.test[self.metric] for run in self.runs if run.test is not None]

    def to_dict(self) -> dict[str, Any]:
        """Give the runs and, when all are finished, what they have in common, for JSON.

        That is mean, standard deviation (with n - 1), least and greatest, and the 95 % interval of
        the mean by Student's t, which a single run has not: see `convatlas.evaluate.spread`.
        """
        runs = [run.to_dict() for run in self.runs]
        if not self.complete:
            return {"state": "stopped", "runs": runs}
        found = spread(self.results)
        told = {
            "mean": found.mean,
            "std": found.deviation or 0.0,
            "interval": found.interval and list(found.interval),
            "min": min(self.results),
            "max": max(self.results),
        }
        return {"state": "finished", f"test_{self.metric}": told, "runs": runs}


def start_runs(
    name: str,
    source_text: str,
    *,
    out: str | Path,
    seeds: Sequence[int],
    resume: bool = False,
    progress: Progress = ignore,
    **options: Any,
) -> SeedsResult:
    """Train once for each seed: the first in `out`, the others in `out/seed-<seed>`.

    Args:
        name: A network.
        source_text: Images.
        out: The folder; at the end `seeds.json` in it holds the result.
        seeds: Different ones.
        resume: Go on with what the folders hold.
        progress: Told what happens.
        options: What else `convatlas.train.run.start_run` takes.

    Returns:
        The runs; those after a stopped one are not started.
    """
    out, runs = Path(out), list[RunResult]()
    for number, seed in enumerate(seeds):
        if len(seeds) > 1:
            progress(Notice(f"seed {seed}: run {number + 1} of {len(seeds)}"))
        folder, going_on = out, resume
        if number:
            folder = out / f"seed-{seed}"
            # behind the one that was stopped there is nothing to go on with, and no need to say so
            going_on = resume and RunFiles(folder).config.exists()
        run = start_run(
            name,
            source_text,
            out=folder,
            seed=seed,
            resume=going_on,
            progress=progress,
            **options,
        )
        runs.append(run)
        if run.state == "stopped":
            break
    result = SeedsResult(tuple(seeds), tuple(runs))
    if len(seeds) > 1 and result.complete and options.get("options", DEFAULTS).ranks.first:
        write_json(out / FILE_NAME, result.to_dict())
    return result
