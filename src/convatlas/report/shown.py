"""What `convatlas show` tells of a network, kept so that the next time needs no torch."""

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from convatlas.analysis.code import code_digest
from convatlas.errors import FileError
from convatlas.files import cache_folder, write_text

_NAME = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Shown:
    """A network layer by layer, as text and as JSON takes it.

    Attributes:
        document: All figures, with the paper and the deviations.
        rows: The table: the head, and a row for each layer.
        totals: What, and how much.
        changes: Rows of what the changes of the spec change in all; none where there are none.
    """

    document: dict[str, Any]
    rows: Sequence[Sequence[str]]
    totals: Sequence[Sequence[str]]
    changes: Sequence[Sequence[str]] = ()


def shown(
    name: str,
    input_shape: tuple[int, ...] | None = None,
    classes: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Shown:
    """Tell of a network of the catalog, or of one that differs from it in fields of its spec.

    Of the paper's own it is kept in CONVATLAS_CACHE (~/.cache/convatlas), in `costs/`, for as long
    as the code that builds and counts networks and the version of torch stay the same.

    Args:
        name: As `convatlas.find` takes it.
        input_shape: (channels, height, width); None: the paper's.
        classes: Outputs of the last layer; None: the paper's.
        changes: Field of the spec -> value.

    Raises:
        UserError: No such network, or one that can't be built so.
    """
    if input_shape is not None or classes is not None or changes or not _NAME.fullmatch(name):
        return _analysed(name, input_shape, classes, changes or {})
    path, key = cache_folder("costs") / f"show-{name}.json", code_digest()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # missing or damaged
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept.pop("key") == key:
            return Shown(**kept)
    found = _analysed(name, None, None, {})
    with contextlib.suppress(FileError):  # a cache that can't be written only costs time
        write_text(path, json.dumps({"key": key, **asdict(found)}))
    return found


def _analysed(
    name: str,
    input_shape: tuple[int, ...] | None,
    classes: int | None,
    changes: Mapping[str, Any],
) -> Shown:
    from convatlas import catalog
    from convatlas.analysis.diff import diff_reports
    from convatlas.analysis.report import analyze_name
    from convatlas.analysis.surgery import altered

    report = altered(name, changes, input_shape, classes)
    architecture, variant = catalog.find(name)
    paper = architecture.paper
    card: dict[str, Any] = {
        "paper": {
            "title": paper.title,
            "authors": paper.authors,
            "year": paper.year,
            "url": paper.url,
        },
        "deviations": [*filter(None, [variant.deviation]), *architecture.deviations],
    }
    rows: Sequence[Sequence[str]] = ()
    if changes:
        found = diff_reports(analyze_name(name, input_shape, classes), report)
        card["diff"], rows = found.to_dict(), found.total_rows()
    return Shown(report.to_dict() | card, report.rows(), report.totals(), rows)
