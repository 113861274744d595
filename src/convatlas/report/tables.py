"""The tables of a report as values: what stands in each cell."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convatlas.analysis.claims import ClaimResult
from convatlas.catalog import find
from convatlas.errors import InputError
from convatlas.evaluate.metrics import wilson_interval
from convatlas.recipe import to_dict
from convatlas.train.finetuning import FINETUNE, FINETUNE_NAME
from convatlas.train.folder import flat
from convatlas.train.plan import find_recipes

_LISTED = 12  # values of a list; a schedule in small steps has a hundred

_WORDS = {
    "ema": "weight averaging",
    "lr": "learning rate",
    "macs": "MACs",
    "resize_shorter": "shorter side of test images",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A count of the confusion matrix; `shade` is how strongly it is coloured, in percent."""

    count: int
    shade: int
    right: bool
    title: str


@dataclass(frozen=True, slots=True)
class ClassRow:
    """How well one class is recognised; the accuracy of a class without images is None."""

    name: str
    images: int
    accuracy: float | None
    interval: tuple[float, float] | None
    taken_for: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """What is printed of the network, and what its code gives.

    Attributes:
        quantity: What is claimed.
        details: What narrows it down: a layer, an input size.
        published: The value as printed.
        recomputed: The value of our code; empty where it can't tell.
        verdict: "pass", "fail", "erratum" or "not derivable".
        source: Who prints it, and where.
        reason: Of the verdict; empty for a pass.
        minor: It holds, for one layer of many.
    """

    quantity: str
    details: str
    published: str
    recomputed: str
    verdict: str
    source: str
    reason: str
    minor: bool


@dataclass(frozen=True, slots=True)
class Confusion:
    """A class that was taken for another one."""

    true: str
    predicted: str
    count: int
    share: float


def confusion_cells(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[list[Cell]]:
    """Give the cells of the matrix, coloured by their share of the true class."""
    rows = []
    for i, counts in enumerate(confusion):
        total = sum(counts) or 1
        rows.append(
            [
                Cell(
                    count=n,
                    # the faintest tint of a mistake can still be seen
                    shade=round(50 * n / total) if i == j else min(50, 14 + round(90 * n / total)),
                    right=i == j,
                    title=f"{classes[i]} taken for {classes[j]}: {n} of {sum(counts)}",
                )
                for j, n in enumerate(counts)
            ]
        )
    return rows


def class_rows(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[ClassRow]:
    """Give a row for each class, in the order of the classes."""
    rows = []
    for i, counts in enumerate(confusion):
        total = sum(counts)
        wrong = sorted(((n, -j) for j, n in enumerate(counts) if n and j != i), reverse=True)
        rows.append(
            ClassRow(
                name=classes[i],
                images=total,
                accuracy=counts[i] / total if total else None,
                interval=wilson_interval(counts[i], total) if total else None,
                taken_for=[(classes[-j], n) for n, j in wrong[:3]],
            )
        )
    return rows


def frequent_confusions(
    confusion: Sequence[Sequence[int]], classes: Sequence[str], most: int
) -> list[Confusion]:
    """Give the cells off the diagonal with the greatest counts, at most `most`."""
    found = [
        Confusion(classes[i], classes[j], n, n / sum(counts))
        for i, counts in enumerate(confusion)
        for j, n in enumerate(counts)
        if n and i != j
    ]
    return sorted(found, key=lambda c: (-c.count, -c.share))[:most]


def claim_rows(results: Sequence[ClaimResult], *, derivable: bool) -> list[ClaimRow]:
    """Give the claims that the code can recompute, or those that it can't."""
    return [
        ClaimRow(
            quantity=_spoken(result.quantity),
            details=readable(result.claim.config) if result.claim.config else "",
            published=_amount(result.published, result.quantity),
            recomputed=_amount(result.recomputed, result.quantity),
            verdict=result.verdict,
            source=result.source,
            reason=result.reason,
            minor=result.verdict == "pass" and "layer" in result.claim.config,
        )
        for result in results
        if (result.verdict != "not derivable") == derivable
    ]


def _amount(value: Any, quantity: str) -> str:
    if isinstance(value, list):
        return (" x " if "shape" in quantity else ", ").join(_amount(v, quantity) for v in value)
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    return "" if value is None else readable(value)


def settings(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give the fields of a recipe as people read them, without its texts."""
    texts = ("kind", "where", "sources", "deviations")
    return [(_spoken(name), readable(v)) for name, v in recipe.items() if name not in texts]


def readable(value: Any) -> str:
    """Write a value of a JSON document as a person would."""
    if isinstance(value, Mapping):
        parts = [
            f"{_spoken(key)} {f'[{readable(part)}]' if isinstance(part, list) else readable(part)}"
            for key, part in value.items()
            if key != "kind" and part is not None
        ]
        kind, listed = value.get("kind", ""), ", ".join(parts)
        return f"{kind} ({listed})" if kind and parts else kind or listed
    if isinstance(value, list):
        more = [f"... ({len(value)} in all)"] if len(value) > _LISTED else []
        return ", ".join([*map(readable, value[:_LISTED]), *more]) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def reproduce(config: Mapping[str, Any]) -> str:
    """Give the command that trains the same network again, its recipe's changes included."""
    command = ["convatlas", "train", config["architecture"], "--data", config["source"]]
    if config.get("root"):
        command += ["--root", config["root"]]
    if config.get("recipe_name"):
        command += ["--recipe", config["recipe_name"]]
    network = dict(config["recipe"].get("network", ()))
    for field, value in config.get("overrides", {}).items():
        if field not in network or network[field] != value:
            command += ["--net", f"{field}={value}"]
    command += [*_changes(config), "--seed", str(config["seed"]), *_how(config)]
    return shlex.join(command)


def _how(config: Mapping[str, Any]) -> list[str]:
    """Give the options that say what the run began with and how it was computed."""
    start, options = config.get("start", {}), config.get("options", {})
    words = []
    if start.get("weights"):
        words += ["--weights", start["weights"]]
    if start.get("freeze"):
        words += ["--freeze", ",".join(start["freeze"])]
    if start.get("layer_decay", 1.0) != 1:
        words += ["--layer-decay", f"{start['layer_decay']:g}"]
    if options.get("precision", "float32") != "float32":
        words += ["--precision", options["precision"]]
    if options.get("micro_batch"):
        words += ["--micro-batch", str(options["micro_batch"])]
    switches = ("compile", "deterministic", "sync_norm", "shard")
    return words + [f"--{name.replace('_', '-')}" for name in switches if options.get(name)]


def _changes(config: Mapping[str, Any]) -> list[str]:
    """Give the options that turn the recipe of that name into the one that was used."""
    used = config["recipe"]
    try:
        recipes = {**find_recipes(_family(config["architecture"])), FINETUNE_NAME: FINETUNE}
        recipe = recipes[config["recipe_name"]]
    except (KeyError, InputError):  # a recipe of another version or of the user's own
        return ["--epochs", str(used["epochs"])] if "epochs" in used else []
    options = []
    if used.get("epochs", recipe.epochs) != recipe.epochs:
        recipe = recipe.lasting(used["epochs"])
        options += ["--epochs", str(used["epochs"])]
    published, wanted = _flat(to_dict(recipe)), _flat(dict(used))
    for name, value in wanted.items():
        if name in published and published[name] != value:
            options += ["--set", f"{name}={json.dumps(value)}"]
    return options


def _family(name: str) -> str:
    return find(name)[0].name


def _flat(value: Any) -> dict[str, Any]:
    """Turn {"optimizer": {"lr": 0.1}} into {"optimizer.lr": 0.1}, without names of classes."""
    return {k: v for k, v in flat(value).items() if k.rpartition(".")[2] != "kind"}


def _spoken(name: str) -> str:
    return _WORDS.get(name, name.replace("_", " "))
