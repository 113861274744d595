"""The nouns of studies: what a paper claims, what is measured, and what must hold. No torch."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from convatlas.errors import InputError, suggest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from convatlas.studies.lab import Lab

Scale = Literal["small", "paper"]
# headings of what most tables show
ERRORS_AND_COSTS = {
    "test_error": "test error",
    "train_error": "training error",
    "params": "parameters",
    "macs": "MACs",
}


@dataclass(frozen=True, slots=True)
class Published:
    """A number that the paper prints for its own experiment.

    Attributes:
        case: What it is of, in the paper's words.
        value: As printed, with its unit, such as "8.75 %".
        source: Table, figure or section.
    """

    case: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Case:
    """One side of a comparison: it is measured once for each seed.

    Attributes:
        name: Different from those of the other cases.
        measure: Gives numbers, and lists of numbers, by name, as JSON takes them.
        settings: All that decides the result besides the seed, as JSON takes it: a measurement
            is taken up again only where they are the same.
    """

    name: str
    measure: "Callable[[Lab], Mapping[str, Any]]"
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Results:
    """What the cases gave, for each seed.

    Attributes:
        seeds: In order.
        measured: Case -> one measurement for each seed.
    """

    seeds: tuple[int, ...]
    measured: Mapping[str, Sequence[Mapping[str, Any]]]

    @property
    def cases(self) -> list[str]:
        """Their names, in order."""
        return list(self.measured)

    def values(self, case: str, metric: str) -> tuple[float, ...]:
        """Give a metric of a case, one number for each seed.

        Raises:
            InputError: There is no such case, or it has no such metric.
        """
        if case not in self.measured:
            raise InputError(f"no case {case!r}{suggest(case, self.cases)}")
        rows = self.measured[case]
        if any(metric not in row for row in rows):
            raise InputError(f"{case} has no {metric!r}{suggest(metric, list(rows[0]))}")
        return tuple(row[metric] for row in rows)

    def mean(self, case: str, metric: str) -> float:
        """Give the mean of a metric over the seeds."""
        return statistics.fmean(self.values(case, metric))

    def curve(self, case: str, metric: str) -> list[float]:
        """Give the mean over the seeds of a metric that is a list, place by place."""
        columns = zip(*self.values(case, metric), strict=True)
        return [statistics.fmean(column) for column in columns]


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold for the claim to pass.

    Attributes:
        says: In words, with its margin.
        differences: One for each seed; positive where it is as the paper says.
        needed: Least mean of the differences; below 0 it is how much noise is let pass.
        unit: Of the differences; "points" are hundredths.
    """

    says: str
    differences: tuple[float, ...]
    needed: float = 0.0
    unit: Literal["points", ""] = "points"

    @property
    def mean(self) -> float:
        """The mean of the differences."""
        return statistics.fmean(self.differences)

    @property
    def agreeing(self) -> int:
        """Seeds that agree: with the paper's sign, or within what is let pass."""
        if self.needed > 0:
            return sum(difference > 0 for difference in self.differences)
        return sum(difference >= self.needed for difference in self.differences)

    @property
    def holds(self) -> bool:
        """Whether the mean is large enough and every seed agrees."""
        return self.mean >= self.needed and self.agreeing == len(self.differences)

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as JSON takes it."""
        found = {"mean": self.mean, "agreeing": self.agreeing, "holds": self.holds}
        return {**asdict(self), **found}


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of the results.

    Attributes:
        title: What it shows; also the words for those who can't see it.
        draw: Makes it, in the style of all charts.
    """

    title: str
    draw: "Callable[[Results], Figure]"


@dataclass(frozen=True, slots=True)
class Study:
    """An experiment of a paper, small enough to be done again.

    Attributes:
        name: What `convatlas study` takes.
        title: A few words.
        source: The paper, with section, figure or table.
        why: The question behind it, and why its answer made a network: a few sentences.
        claim: What the paper says, in one sentence of ours.
        published: The paper's own numbers.
        cases: What is measured, at a scale.
        judge: What must hold of the results for the claim to pass.
        chart: The picture.
        shown: Metrics that the table shows, each with its heading.
        images: The source of images that the cases take, such as "cifar10"; empty: none.
        paper_images: The same at the scale of the paper; empty: the same source.
        differs: How the small scale differs from the paper.
        if_failed: What is known of why it fails at the small scale; empty: it does not.
        revised: What of the protocol, the checks or their margins was changed after a measurement
            had been seen; empty: nothing.
    """

    name: str
    title: str
    source: str
    why: str
    claim: str
    published: tuple[Published, ...]
    cases: Callable[[Scale], Sequence[Case]]
    judge: Callable[[Results], Sequence[Check]]
    chart: Chart
    shown: Mapping[str, str]
    images: str = "cifar10"
    differs: str = ""
    if_failed: str = ""
    revised: str = ""
    paper_images: str = ""

    def source_of(self, scale: Scale) -> str:
        """Name the source of images at a scale; empty: there is none."""
        return (self.paper_images if scale == "paper" else "") or self.images


@dataclass(frozen=True, slots=True)
class StudyResult:
    """How a study ended.

    Attributes:
        study: Which one.
        scale: "small" or "paper".
        folder: Where result.json, the picture and all measurements lie.
        results: What was measured.
        checks: What had to hold.
        images: Where the images came from, and how many they were; empty: there are none.
        seconds: Spent on measuring, over all processes.
        environment: Versions and machine.
    """

    study: Study
    scale: Scale
    folder: Path
    results: Results
    checks: tuple[Check, ...]
    images: Mapping[str, Any]
    seconds: float
    environment: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether all holds that the claim needs."""
        return all(check.holds for check in self.checks)

    @property
    def verdict(self) -> Literal["passed", "failed"]:
        """The same as a word."""
        return "passed" if self.passed else "failed"

    def to_dict(self) -> dict[str, Any]:
        """Give what `result.json` holds."""
        return {
            "study": self.study.name,
            "title": self.study.title,
            "source": self.study.source,
            "claim": self.study.claim,
            "verdict": self.verdict,
            "scale": self.scale,
            "seeds": list(self.results.seeds),
            "published": [asdict(number) for number in self.study.published],
            "checks": [check.to_dict() for check in self.checks],
            "cases": {name: list(rows) for name, rows in self.results.measured.items()},
            "images": dict(self.images),
            "seconds": round(self.seconds, 1),
            "environment": dict(self.environment),
        }
