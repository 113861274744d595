"""The page of a study: the claim, the paper's numbers, ours with their spread, the verdict."""

import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convatlas import __version__
from convatlas.errors import FileError
from convatlas.files import write_text
from convatlas.report.page import page_environment
from convatlas.report.words import duration
from convatlas.studies.registry import find_study
from convatlas.studies.run import CHART, RESULT
from convatlas.studies.study import Study, StudyResult
from convatlas.train.folder import read_json

PAGE = "report.html"
_COUNTS = ("params", "macs")  # exact, and alike for every seed


@dataclass(frozen=True, slots=True)
class Row:
    """One case of the table: its name, and for each metric the mean and the range."""

    case: str
    cells: Sequence[tuple[str, str]]


def write_study_page(result: StudyResult) -> Path:
    """Write report.html into the folder of a study.

    Returns:
        The path of the page: one file without scripts that loads nothing.

    Raises:
        FileError: The chart can't be read, or the page can't be written.
    """
    chart = result.folder / CHART
    try:
        drawing = chart.read_text(encoding="utf-8")
    except OSError as error:
        raise FileError(f"can't read {chart}: {error.strerror or error}") from error
    content = result.to_dict()
    page = (
        page_environment()
        .get_template("study.html.jinja")
        .render(
            version=__version__,
            study=result.study,
            result=content,
            rows=rows(result.study, content),
            checks=[check_words(check) for check in content["checks"]],
            images=images_words(content["images"]),
            command=command(result.study, content),
            time=duration(content["seconds"]),
            chart=drawing[drawing.index("<svg") :],
        )
    )
    write_text(result.folder / PAGE, page)
    return result.folder / PAGE


def read_result(folder: str | Path) -> tuple[Study, dict[str, Any]]:
    """Read what a study has left in its folder.

    Raises:
        FileError: There is no result, or it is damaged.
        UnknownNameError: It is of a study that this version of convatlas does not have.
    """
    path = Path(folder) / RESULT
    content = read_json(path)
    try:
        return find_study(content["study"]), content
    except TypeError as error:
        raise FileError(f"{path} is damaged: {error}") from error


def rows(study: Study, content: Mapping[str, Any]) -> list[Row]:
    """Give the table of a result: a row for each case, a cell for each metric that is shown."""
    return [
        Row(case, [_cell(metric, [m.get(metric) for m in measured]) for metric in study.shown])
        for case, measured in content["cases"].items()
    ]


def check_words(check: Mapping[str, Any]) -> dict[str, str]:
    """Say how a check came out."""
    unit = " points" if check["unit"] == "points" else ""
    values = [_difference(value, bool(unit)) for value in check["differences"]]
    count = len(check["differences"])
    return {
        "says": check["says"],
        "found": ", ".join(values) + unit,
        "agreeing": f"{check['agreeing']} of {count}",
        "verdict": "holds" if check["holds"] else "fails",
    }


def images_words(images: Mapping[str, Any]) -> str:
    """Say where the images came from; those that stand in for others are named so."""
    if not images:
        return "none: what is compared is counted, not trained"
    if not images["stands_in"]:
        return images["named"]
    kind, _, path = images["read"].partition(":")
    place = Path(path).name if path else kind
    return f"{place}, in place of {images['named']}: figures on it are not those of the original"


def command(study: Study, content: Mapping[str, Any]) -> str:
    """Give the command that makes the result again."""
    words = ["convatlas", "study", study.name]
    if content["scale"] != "small":
        words += ["--scale", content["scale"]]
    if len(content["seeds"]) != 3:
        words += ["--seeds", str(len(content["seeds"]))]
    return shlex.join(words)


def _cell(metric: str, values: Sequence[Any]) -> tuple[str, str]:
    """Write the mean of a metric, and the range of its seeds where they differ."""
    known = [value for value in values if isinstance(value, int | float)]
    if not known:
        return "none", ""
    if metric in _COUNTS:
        return f"{known[0]:,}", ""
    mean = _written(metric, statistics.fmean(known))
    if min(known) == max(known):
        return mean, ""
    return mean, f"{_written(metric, min(known))} to {_written(metric, max(known))}"


def _difference(value: float, points: bool) -> str:
    if value == 0:
        return "0"
    if points:
        return f"{100 * value:+.1f}"
    return f"{value:+,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:+.3g}"


def _written(metric: str, value: float) -> str:
    if metric.endswith(("error", "accuracy", "gap")):
        return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
