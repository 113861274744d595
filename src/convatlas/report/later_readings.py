"""What a report says of later looks at a run's test images; it is renewed without another look."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convatlas.errors import FileError
from convatlas.evaluate.readings import count_readings, readings
from convatlas.files import write_text
from convatlas.report.page import page_environment
from convatlas.report.words import percent

REPORT = "report.html"
_BEGIN, _END = "<!-- later readings -->", "<!-- end of the later readings -->"
_PART = re.compile(f"{_BEGIN}.*?{_END}", re.DOTALL)


def readings_part(folder: Path) -> str:
    """Give the part of a report that lists later readings, between marks, in HTML.

    Raises:
        FileError: The list of readings can't be read.
    """
    rows = [(str(reading.get("when", ""))[:10], _words(reading)) for reading in readings(folder)]
    template = page_environment().get_template("readings.html.jinja")
    return f"{_BEGIN}{template.render(reads=count_readings(folder), rows=rows)}{_END}"


def renew_readings(folder: Path) -> None:
    """Let the report of a run, if it has one, list the readings that its folder tells of.

    Raises:
        FileError: The report or the list can't be read, or not be written.
    """
    path = folder / REPORT
    try:
        page = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise FileError(f"can't read {path}: {error}") from error
    part = readings_part(folder)
    renewed = _PART.sub(lambda _: part, page)
    if renewed != page:
        write_text(path, renewed)


def _words(reading: Mapping[str, Any]) -> str:
    """Say what a reading found, and how it looked."""
    said = []
    for key, name in (("top1_accuracy", "accuracy"), ("mean_iou", "mean IoU")):
        if key in reading:
            said.append(f"{name} {percent(reading[key], 2)}")
    if "probe" in reading:
        said.append(f"a linear probe on {reading['probe']}")
    if reading.get("protocol", "center") != "center":
        said.append(f"protocol {reading['protocol']}")
    if reading.get("together_with"):
        said.append(f"with {reading['together_with']} more in an ensemble; alone")
    return ", ".join(said)
