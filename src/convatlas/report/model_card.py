"""The card of a trained network: data, recipe, metrics with intervals, cost, limits; Markdown.

After Mitchell et al. 2019, "Model cards for model reporting" (https://arxiv.org/abs/1810.03993);
the head is what model hubs read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml

from convatlas import __version__
from convatlas.analysis.report import analyze
from convatlas.catalog import find
from convatlas.data.sources import open_source
from convatlas.errors import UserError
from convatlas.evaluate.metrics import wilson_interval
from convatlas.files import write_text
from convatlas.report.runs import HEADLINES, Run, read_progress
from convatlas.report.tables import ClassRow, class_rows, reproduce, settings
from convatlas.report.words import duration, percent, short
from convatlas.train.folder import RunFiles
from convatlas.weights.store import load

WEAK_CLASSES = 5  # that the card names
SMALL_TEST = 1000  # images below which the interval is called wide

_TASKS = {"top1_accuracy": "image-classification", "mean_iou": "image-segmentation"}
# written in percent
_FRACTIONS = ("top1_accuracy", "top5_accuracy", "mean_iou", "mean_dice", "pixel_error")


def write_card(folder: str | Path, licence: str | None = None) -> Path:
    """Write MODEL_CARD.md into the folder of a finished run.

    Args:
        folder: With config.json, metrics.jsonl, test.json and model.safetensors.
        licence: Of the weights, such as "apache-2.0"; None: the card says that none was chosen.

    Raises:
        FileError: A file of the run is missing or damaged, or the card can't be written.
    """
    path = RunFiles(Path(folder)).card
    write_text(path, card_text(folder, licence))
    return path


def card_text(folder: str | Path, licence: str | None = None) -> str:
    """Give the text of the card; arguments and errors are those of `write_card`."""
    run = read_progress(folder)
    model, _ = load(run.path)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("convatlas.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = percent
    context = _context(run, model, licence)
    text = environment.get_template("model_card.md.jinja").render(context)
    return text.replace("\N{NO-BREAK SPACE}", " ")


def _context(run: Run, model: Any, licence: str | None) -> dict[str, Any]:
    config, test = run.config, run.test or {}
    architecture, variant = find(config["architecture"])
    recipe = config["recipe"]
    shape = (config["in_channels"], *config["preprocessing"]["size"])
    report = analyze(model, shape)
    seconds = sum(epoch.get("seconds", 0.0) for epoch in run.epochs)
    deviations = [variant.deviation] if variant.deviation else []
    return {
        "front": _front(run, licence),
        "network": config["architecture"],
        "data": config["source"],
        "summary": (
            f"{config['architecture']}, {short(report.params)} parameters, for "
            f"{config['num_classes']} classes of {_size(shape)} images."
        ),
        "results": _results(test),
        "count": test.get("count"),
        "weak": _weak(run),
        "source": _source(config),
        "recipe_name": config.get("recipe_name", ""),
        "where": recipe.get("where", "no source"),
        "config": config,
        "settings": [
            (name, value.replace("|", "\\|"))
            for name, value in settings(recipe)
            if value not in ("none", "no")
        ],
        "deviations": recipe.get("deviations", []),
        "cost": [
            ("parameters", f"{report.params:,}"),
            ("multiply-adds an image", f"{report.macs:,} at {_size(shape)}"),
            ("peak memory of inference, one image", f"{report.peak_inference_bytes(1):,} bytes"),
            ("training", f"{_counted(len(run.epochs), 'epoch')}, {duration(seconds)}"),
        ],
        "limits": [*deviations, *_limits(run, licence)],
        "verb": "segment" if _segments(run) else "predict",
        "command": reproduce(config),
        "paper": architecture.paper,
        "version": __version__,
    }


def _front(run: Run, licence: str | None) -> str:
    """Give the head that hubs read: YAML."""
    tested = run.tested
    task = _TASKS[tested[0]] if tested else "image-classification"
    head: dict[str, Any] = {
        "library_name": "convatlas",
        "pipeline_tag": task,
        "tags": ["convatlas", "pytorch", run.config["architecture"]],
    }
    if licence is not None:
        head["license"] = licence
    if tested is not None:
        name = run.config["source"]
        result = {
            "task": {"type": task},
            "dataset": {"name": name, "type": name.partition(":")[0], "split": "test"},
            "metrics": [{"type": tested[0], "value": tested[1]}],
        }
        head["model-index"] = [{"name": run.config["architecture"], "results": [result]}]
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True)


def _results(test: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, value in test.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or name == "count":
            continue
        shown = percent(value, 2) if name in _FRACTIONS else f"{value:.4g}"
        if name == "top1_accuracy" and test.get("count"):
            low, high = wilson_interval(round(value * test["count"]), test["count"])
            shown += f", 95 % interval {percent(low, 2)} to {percent(high, 2)} (Wilson)"
        rows.append((name.replace("_", " "), shown))
    return sorted(rows, key=lambda row: row[0].replace(" ", "_") not in HEADLINES)


def _weak(run: Run) -> list[ClassRow]:
    confusion = (run.test or {}).get("confusion")
    if not confusion or "top1_accuracy" not in (run.test or {}):
        return []
    rows = [row for row in class_rows(confusion, run.config["classes"]) if row.images]
    return sorted(rows, key=lambda row: row.accuracy or 0.0)[:WEAK_CLASSES]


def _source(config: Mapping[str, Any]) -> list[str]:
    lines = [f"source: `{config['source']}`"]
    root = config.get("root")
    try:
        card = open_source(config["source"], root=None if root is None else Path(root)).card
    except UserError:
        card = None  # the card is read where the images no longer lie: the counts still hold
    if card is not None:
        told = (card.title, card.citation, card.url)
        lines.append(", ".join(part for part in told if part))
        if card.licence:
            lines.append(f"licence of the data: {card.licence}")
    counts = config.get("images", {})
    if counts:
        lines.append("images: " + ", ".join(f"{n:,} {split}" for split, n in counts.items()))
    return lines


def _limits(run: Run, licence: str | None) -> list[str]:
    config, count = run.config, (run.test or {}).get("count", 0)
    what = (
        "pixel, also for one that belongs to"
        if _segments(run)
        else "image, also for one that shows"
    )
    lines = [
        f"It knows only the {config['num_classes']} classes of `{config['source']}` and gives one "
        f"of them for every {what} none.",
        "Its probabilities were not calibrated.",
    ]
    if 0 < count < SMALL_TEST:
        few = f"{_counted(count, 'test image')} {'is' if count == 1 else 'are'} few"
        told = "" if _segments(run) else ": look at the intervals, not at the digits"
        lines.append(f"{few}{told}.")
    if run.state != "finished":
        lines.append("The run has not ended.")
    if licence is None:
        lines.append("No licence was chosen for these weights.")
    return lines


def _segments(run: Run) -> bool:
    return run.tested is not None and run.tested[0] == "mean_iou"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
