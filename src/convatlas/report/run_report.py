"""The report of a run: one HTML page that holds everything it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from convatlas.data.sources import open_source
from convatlas.errors import FileError, UserError
from convatlas.evaluate.evaluation import Prediction
from convatlas.evaluate.metrics import wilson_interval
from convatlas.files import write_text
from convatlas.report.later_readings import REPORT, readings_part
from convatlas.report.page import chart_of, page_context, page_environment
from convatlas.report.pictures import Shown, colour_ramp, explain, show
from convatlas.report.run_folder import SEGMENTATION, RunFolder, read_run
from convatlas.report.segmentation_page import segmentation_context
from convatlas.report.tables import class_rows, confusion_cells, frequent_confusions
from convatlas.weights.store import load

MATRIX_CLASSES = 20  # above that the matrix gives way to a list of the most frequent confusions
EXPLAINED_RIGHT, EXPLAINED_WRONG = 8, 6  # images that get their heat maps


def write_report(folder: str | Path) -> Path:
    """Write report.html into the folder of a finished run.

    Everything is read from the folder; the data source is opened again only for the pictures of
    the images that test.json names. Nothing is evaluated again.

    Args:
        folder: With config.json, metrics.jsonl, test.json and model.safetensors.

    Returns:
        The path of the page: one file without scripts that loads nothing.

    Raises:
        FileError: A file of the run is missing or damaged, or the page can't be written.
    """
    run = read_run(folder)
    model, metadata = load(run.path)
    if metadata["architecture"] != run.config["architecture"]:
        raise FileError(
            f"{run.path} is of two runs: config.json is of {run.config['architecture']}, "
            f"model.safetensors of {metadata['architecture']}"
        )
    if run.test.get("kind") == SEGMENTATION:
        template, context = "segmentation.html.jinja", segmentation_context(run, model)
    else:
        template, context = "run.html.jinja", _context(run, model)
    context |= {"later_readings": readings_part(run.path)}
    page = page_environment().get_template(template).render(page_context(run, model) | context)
    write_text(run.path / REPORT, page)
    return run.path / REPORT


@dataclass(frozen=True, slots=True)
class Pictures:
    """Test images on the page; `missing` says why there are none."""

    mistakes: Sequence[Shown] = ()
    wrong: Sequence[Shown] = ()
    right: Sequence[Shown] = ()
    missing: str = ""


def _context(run: RunFolder, model: nn.Module) -> dict[str, Any]:
    test = run.test
    right = round(test["top1_accuracy"] * test["count"])
    interval = wilson_interval(right, test["count"])
    start = _axis_start(interval[0])
    return {
        "right": right,
        "interval": interval,
        "axis_start": start,
        "scale": lambda fraction: round(100 * (fraction - start) / (1 - start), 1),
        "digits": 1 if test["count"] < 2000 else 2,
        "charts": _charts(run),
        "small": len(run.classes) <= MATRIX_CLASSES,
        "longest": max(len(name) for name in run.classes),
        "matrix": confusion_cells(test["confusion"], run.classes),
        "confusions": frequent_confusions(test["confusion"], run.classes, MATRIX_CLASSES),
        "classes": class_rows(test["confusion"], run.classes),
        "pictures": _pictures(run, model),
        "ramp": colour_ramp(),
        "layer": model.cam_layer,
    }


def _charts(run: RunFolder) -> list[Any]:
    return [
        chart_of(run, "Loss", ("train_loss", "val_loss")),
        chart_of(run, "Accuracy", ("train_accuracy", "val_accuracy"), percent=True),
    ]


def _pictures(run: RunFolder, model: nn.Module) -> Pictures:
    """Show and explain images; without its data the rest of a report still has its worth."""
    root = run.config.get("root")
    try:
        split = open_source(run.config["source"], root=None if root is None else Path(root)).test
        return Pictures(
            mistakes=show(run.mistakes, split, run.preprocessing),
            wrong=explain(model, run.mistakes[:EXPLAINED_WRONG], split, run.preprocessing),
            right=explain(model, _spread(run.examples), split, run.preprocessing),
        )
    except UserError as error:
        return Pictures(missing=str(error))


def _spread(examples: Sequence[Prediction]) -> list[Prediction]:
    """Take some of the examples, evenly over the classes."""
    count = min(EXPLAINED_RIGHT, len(examples))
    return [examples[i * len(examples) // count] for i in range(count)]


def _axis_start(low: float) -> float:
    """Choose where the axis of an interval begins so that it can be seen."""
    return next(start for start in (0.99, 0.9, 0.5, 0.0) if low >= start)
