"""What the pages of all kinds of runs have in common."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from torch import nn

from convatlas import __version__
from convatlas.analysis.claims import check_claims
from convatlas.analysis.report import analyze
from convatlas.catalog import find
from convatlas.report.chart import line_chart
from convatlas.report.run_folder import RunFolder
from convatlas.report.tables import claim_rows, reproduce, settings
from convatlas.report.words import duration, percent, probability, short

_CURVES = {"train": "train", "val": "validation"}  # first word of a metric, and its legend


def page_environment() -> jinja2.Environment:
    """Give what renders the templates of this room."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("convatlas.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent, probability=probability, short=short, duration=duration
    )
    return environment


def page_context(run: RunFolder, model: nn.Module) -> dict[str, Any]:
    """Give what each page says of a run: the network, its cost, its recipe, its paper."""
    name = run.config["architecture"]
    height, width = run.preprocessing.size
    architecture, variant = find(name)
    claims = check_claims([name])
    return {
        "version": __version__,
        "run": run,
        "family": architecture.name,
        "data": _short_name(run.config["source"]),
        "paper": architecture.paper,
        "deviations": [*filter(None, [variant.deviation]), *architecture.deviations],
        "seconds": sum(epoch["seconds"] for epoch in run.epochs),
        "cost": analyze(model, (run.config["in_channels"], height, width)),
        "settings": settings(run.config["recipe"]),
        "claims": claim_rows(claims, derivable=True),
        "reported": claim_rows(claims, derivable=False),
        "command": reproduce(run.config),
        "config_text": json.dumps(run.config, indent=2, ensure_ascii=False),
    }


def chart_of(run: RunFolder, title: str, metrics: Sequence[str], *, percent: bool = False) -> Any:
    """Draw metrics such as "val_loss" over the epochs, with a gap where one is missing."""
    epochs = [epoch["epoch"] for epoch in run.epochs]
    curves = {
        _CURVES[name.partition("_")[0]]: [epoch.get(name) for epoch in run.epochs]
        for name in metrics
    }
    return line_chart(title, epochs, curves, percent=percent)


def _short_name(source: str) -> str:
    """Name a folder of pictures by its last part."""
    place = source.partition(":")[2] or source
    return Path(place).name or place
