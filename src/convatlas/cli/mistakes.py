"""The picture of a classifier's mistakes: what it takes for what, and the worst of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convatlas.cli.drawing import Drawn, Request
from convatlas.cli.images_of import SomeImages, chosen_images
from convatlas.cli.readings import noted
from convatlas.errors import InputError

if TYPE_CHECKING:
    from convatlas.data.preprocess import Preprocessing
    from convatlas.data.splits import Split
    from convatlas.evaluate.result import Prediction

_COUNT, _COLUMNS = 12, 6


@dataclass(frozen=True, slots=True)
class Tested:
    """What is known of a network's answers to the images of a split.

    Attributes:
        network: Its name.
        source: Where the images are from, as text.
        classes: Names.
        accuracy: Top-1, a fraction.
        confusion: Counts: a row for each true class, a column for each predicted one.
        worst: Wrong predictions, the one with the greatest loss first.
        split: The images.
        preprocessing: Of the network.
        reads: How often the run's test images were read so far, 0 where that does not count.
    """

    network: str
    source: str
    classes: Sequence[str]
    accuracy: float
    confusion: Sequence[Sequence[int]]
    worst: "Sequence[Prediction]"
    split: "Split"
    preprocessing: "Preprocessing"
    reads: int = 0


def draw(request: Request) -> list[Drawn]:
    """Evaluate the network on --data, or read what a finished run has found."""
    if request.images:
        raise InputError("mistakes are looked for in --data, not in single images")
    count = request.options.get("count", _COUNT)
    if count < 1:
        raise InputError(f"at least 1 mistake, not {count}")
    found = _evaluated(request, count) if "data" in request.options else _of_run(request)
    return [_drawn(request, found, count)]


def _of_run(request: Request) -> Tested:
    """Take the test at the end of a training; nothing is evaluated again."""
    from convatlas.data.sources import open_source
    from convatlas.report.pictures import check_same
    from convatlas.report.run_folder import SEGMENTATION, read_run

    for name in ("split", "limit"):
        if name in request.options:
            raise InputError(f"--{name} is of --data: a run was tested on all of its test images")
    if not Path(request.model).is_dir():
        raise InputError(
            "whose images? name them, --data digits, or give the folder of a finished run"
        )
    if request.weights is not None:
        raise InputError(
            f"{request.model} has weights of its own: --weights belongs to a network's name"
        )
    run = read_run(request.model)
    if run.test.get("kind") == SEGMENTATION:
        raise InputError(f"{request.model} gives a class to each pixel: report.html shows its test")
    root = request.options.get("root", run.config.get("root"))
    split = open_source(run.config["source"], root=None if root is None else Path(root)).test
    for prediction in run.mistakes:
        check_same(prediction, split)
    return Tested(
        run.config["architecture"],
        f"test of {run.config['source']}",
        run.classes,
        run.test["top1_accuracy"],
        run.test["confusion"],
        run.mistakes,
        split,
        run.preprocessing,
    )


def _evaluated(request: Request, count: int) -> Tested:
    from convatlas.cli.progress import show_batches
    from convatlas.evaluate.alignment import aligned
    from convatlas.evaluate.evaluation import evaluate
    from convatlas.serve.predictor import Predictor

    options: Mapping[str, Any] = request.options
    split, classes = chosen_images(options)
    predictor = Predictor.load(request.model, request.weights, request.source)
    split = aligned(split, classes, predictor.classes)
    if "limit" in options:
        split = SomeImages(split, options["limit"])
    source, part = options["data"], options.get("split", "test")
    with show_batches(f"{predictor.name} on {source}") as progress:
        found = evaluate(
            predictor.model, split, predictor.preprocessing, predictor.classes, progress=progress
        )
    reads = 0
    if part == "test":
        what = {"protocol": "center", "top1_accuracy": found.top1_accuracy}
        reads = noted(request.model, source, options.get("root"), what, "visualize")
    return Tested(
        predictor.name,
        f"{part} of {source}",
        predictor.classes,
        found.top1_accuracy,
        found.confusion,
        found.mistakes(count),
        split,
        predictor.preprocessing,
        reads,
    )


def _drawn(request: Request, found: Tested, count: int) -> Drawn:
    from convatlas.visualize.confusion import SHOWN, confused_classes, confusion_page
    from convatlas.visualize.page import stacked

    shown = confused_classes(found.confusion)
    images = sum(map(sum, found.confusion))
    wrong = images - sum(row[i] for i, row in enumerate(found.confusion))
    subtitle = (
        f"{found.network}, {found.source}: {wrong:,} of {images:,} images are wrong, accuracy "
        f"{found.accuracy:.2%}; a row is a true class, a column what was answered"
    )
    if len(found.classes) > SHOWN:
        subtitle += f"; the {len(shown)} of {len(found.classes):,} classes with most mistakes"
    pages = [confusion_page(found.confusion, found.classes, request.method.title, subtitle)]
    if found.worst:
        pages.append(_worst(found, count))
    facts = {
        "method": request.name,
        "network": found.network,
        "source": found.source,
        "count": images,
        "wrong": wrong,
        "top1_accuracy": found.accuracy,
        "shown_classes": shown,
        "confusion": [[found.confusion[i][j] for j in shown] for i in shown],
        "mistakes": [_told(found, prediction) for prediction in found.worst[:count]],
    } | ({"test_reads": found.reads} if found.reads else {})
    return Drawn(found.network, stacked(pages, request.method.title, subtitle), facts)


def _worst(found: Tested, count: int) -> Any:
    from convatlas.visualize.sheet import Tile, in_rows, sheet

    worst = found.worst[:count]
    tiles = []
    for prediction in worst:
        true, answer = (found.classes[i] for i in (prediction.label, prediction.predicted))
        seen = found.preprocessing.resized(found.split.image(prediction.index))
        tiles.append(Tile(seen, f"{answer}, {prediction.probability:.0%}\ntrue: {true}"))
    subtitle = "the answer and its probability, and below it the true class; greatest loss first"
    return sheet(in_rows(tiles, _COLUMNS), "The worst of them", subtitle, side=150)


def _told(found: Tested, prediction: "Prediction") -> dict[str, Any]:
    return {
        "image": prediction.name,
        "true": found.classes[prediction.label],
        "predicted": found.classes[prediction.predicted],
        "probability": prediction.probability,
        "loss": prediction.loss,
    }
