"""Read what a run left in its folder, and refuse what is not whole."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convatlas.data.preprocess import Preprocessing
from convatlas.errors import FileError, InputError
from convatlas.evaluate.evaluation import Prediction

Kinds = Mapping[str, type | tuple[type, ...]]

NUMBER = (int, float)
OPTIONAL_NUMBER = (int, float, type(None))  # a source without validation images has no val_loss

_CONFIG: Kinds = {
    "architecture": str,
    "num_classes": int,
    "in_channels": int,
    "source": str,
    "recipe": dict,
    "seed": int,
    "preprocessing": dict,
    "classes": list,
}
_EPOCH: Kinds = {
    "epoch": int,
    "train_loss": OPTIONAL_NUMBER,
    "train_accuracy": OPTIONAL_NUMBER,
    "val_loss": OPTIONAL_NUMBER,
    "val_accuracy": OPTIONAL_NUMBER,
    "lr": NUMBER,
    "seconds": NUMBER,
}
_TEST: Kinds = {
    "top1_accuracy": NUMBER,
    "top5_accuracy": NUMBER,
    "loss": NUMBER,
    "count": int,
    "per_class": dict,
    "confusion": list,
    "mistakes": list,
    "examples": list,
}

SEGMENTATION = "segmentation"  # the `kind` of such a test; that of a classifier has none
_SEGMENTED: Kinds = {
    **dict.fromkeys(("mean_iou", "mean_dice", "pixel_error", "loss"), NUMBER),
    **dict.fromkeys(("rand_error", "warping_error"), OPTIONAL_NUMBER),
    "count": int,
    "pixels": int,
    "per_class": dict,
    "confusion": list,
    "images": list,
}


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A finished run, read from its files.

    Attributes:
        path: The folder.
        config: What was asked for: network, source, recipe, seed, versions.
        preprocessing: Makes the network's input of an image.
        classes: Names, in the order of the logits.
        epochs: The lines of `metrics.jsonl`.
        test: The evaluation of the test split.
        mistakes: The worst wrong predictions, the worst first.
        examples: The first right prediction of each class.
    """

    path: Path
    config: dict[str, Any]
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    epochs: list[dict[str, Any]]
    test: dict[str, Any]
    mistakes: list[Prediction]
    examples: list[Prediction]


def read_run(folder: str | Path) -> RunFolder:
    """Read config.json, metrics.jsonl and test.json of a finished run.

    Raises:
        FileError: A file is missing, not JSON or lacks something; the message names it.
    """
    path = Path(folder)
    if not path.is_dir():
        raise FileError(f"no run folder {path}")
    config = _document(path / "config.json", _CONFIG)
    segmented = _document(path / "test.json", {}).get("kind") == SEGMENTATION
    test = _document(path / "test.json", _SEGMENTED if segmented else _TEST)
    classes = tuple(str(name) for name in config["classes"])
    _check_confusion(path / "test.json", test["confusion"], len(classes))
    return RunFolder(
        path=path,
        config=config,
        preprocessing=_preprocessing(path / "config.json", config["preprocessing"]),
        classes=classes,
        epochs=_epochs(path / "metrics.jsonl"),
        test=test,
        mistakes=_predictions(path / "test.json", test.get("mistakes", []), len(classes)),
        examples=_predictions(path / "test.json", test.get("examples", []), len(classes)),
    )


def _document(path: Path, kinds: Kinds) -> dict[str, Any]:
    return _object(str(path), _text(path), kinds)


def _epochs(path: Path) -> list[dict[str, Any]]:
    lines = _text(path).splitlines()
    epochs = [
        _object(f"line {i} of {path}", line, _EPOCH)
        for i, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not epochs:
        raise FileError(f"{path} holds no epoch: the run has not trained yet")
    return epochs


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not UTF-8 text") from error
    except OSError as error:
        reason = error.strerror or error
        raise FileError(f"can't read {path}, which a finished run has: {reason}") from error


def _object(where: str, text: str, kinds: Kinds) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise FileError(f"{where} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise FileError(f"{where} is not a JSON object")
    for key, kind in kinds.items():
        if key not in document:
            raise FileError(f"{where} lacks {key!r}")
        if not isinstance(document[key], kind) or isinstance(document[key], bool):
            raise FileError(f"{where} has {document[key]!r} for {key!r}")
    return document


def _preprocessing(path: Path, document: dict[str, Any]) -> Preprocessing:
    try:
        return Preprocessing.from_dict(document)
    except InputError as error:
        raise FileError(f"{path}: {error}") from error


def _predictions(path: Path, documents: list[Any], num_classes: int) -> list[Prediction]:
    try:
        found = [Prediction(**document) for document in documents]
    except TypeError as error:
        raise FileError(f"{path} has a prediction that can't be read: {error}") from error
    for prediction in found:
        if not {prediction.label, prediction.predicted} <= set(range(num_classes)):
            raise FileError(f"{path} has a prediction of a class that there is not: {prediction}")
    return found


def _check_confusion(path: Path, rows: list[Any], num_classes: int) -> None:
    whole = len(rows) == num_classes and all(
        isinstance(row, list)
        and len(row) == num_classes
        and all(isinstance(cell, int) and cell >= 0 for cell in row)
        for row in rows
    )
    if not whole:
        raise FileError(f"{path} has no confusion matrix of {num_classes} by {num_classes} counts")
