"""`convatlas evaluate`: how good trained networks are on images they have not seen."""

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convatlas.cli.model_options import (
    chosen,
    device_option,
    one_source,
    protocol_option,
    scales_option,
    weights_from_option,
    weights_option,
)
from convatlas.cli.options import max_bad_option, tell_left_out
from convatlas.cli.readings import noted
from convatlas.errors import InputError

if TYPE_CHECKING:
    from convatlas.data.sources import Split
    from convatlas.evaluate.evaluation import GroupEvaluation
    from convatlas.serve.predictor import Predictor

SPARSE_CLASSES = 200  # above that JSON lists only the cells of the confusion matrix that count


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...", type=click.Path())
@click.option(
    "--data", "source_text", required=True, metavar="SOURCE", help="digits, mnist, folder:PATH, ..."
)
@click.option(
    "--split",
    type=click.Choice(["test", "val", "train"]),
    default="test",
    show_default=True,
    help="Choose by val; a run's folder counts how often its test images were read.",
)
@protocol_option
@scales_option
@weights_option
@weights_from_option
@click.option(
    "--precision", type=click.Choice(["float32", "bf16"]), default="float32", show_default=True
)
@device_option
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the source's files.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Images at a time, or views of an image.",
)
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True)
@max_bad_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV to write: each image, its label and the best five guesses.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all that was measured as JSON.")
def command(
    models: tuple[str, ...],
    source_text: str,
    split: str,
    root: Path | None,
    out: Path | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Measure trained networks: accuracy with intervals, calibration, each class.

    MODEL is a run folder, a .safetensors file, or the name of a network with --weights. Several
    make an ensemble: each sees images through its own preprocessing, their probabilities are
    averaged, and their mistakes are compared.

    Example: convatlas evaluate runs/demo --data digits
    """
    if source_text.startswith("segmentation:"):
        from convatlas.cli.evaluate_masks import evaluate_masks

        evaluate_masks(models, source_text, split, root, as_json, {**how, "out": out})
        return
    from convatlas.cli.evaluate_tables import print_group, write_predictions

    predictors = _opened(models, how)
    images = _images(predictors[0], source_text, split, root, how["max_bad"])
    with _beside(out) as aside:  # a place that can't be written is told before hours of work
        found = _measured(predictors, images, source_text, how)
        if aside is not None:
            write_predictions(aside, found.together)
    asked = {
        "model": models[0],
        "architecture": predictors[0].name,
        "source": source_text,
        "split": split,
        "protocol": how["protocol"],
        "precision": how["precision"],
    }
    reads = _noted(models, found, asked, root)
    names = [predictor.name for predictor in predictors]
    if as_json:
        more = {"test_reads": reads} if reads else {}
        document = asked | more | _measurements(names, models, found)
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    print_group(names, models, asked, found)
    for model, times in reads.items():
        click.echo(
            f"\nThe test images of {model} were read {times} times so far, the test at the end of "
            "its training included: what is chosen by them is no longer measured."
        )


def _beside(out: Path | None) -> "contextlib.AbstractContextManager[Path | None]":
    from convatlas.files import whole_file

    return contextlib.nullcontext() if out is None else whole_file(out)


def _opened(models: tuple[str, ...], how: dict[str, Any]) -> "list[Predictor]":
    from convatlas.cli.progress import show_downloads
    from convatlas.evaluate.protocols import find_protocol
    from convatlas.serve.predictor import Ensemble, Predictor
    from convatlas.weights.opening import pair_weights

    one_source(how["weights"], how["weights_from"])
    protocol = find_protocol(how["protocol"], how["scales"])
    device, progress = chosen(how["device"]), show_downloads()
    members = [
        Predictor.load(
            model,
            weights,
            how["weights_from"] if weights else None,
            protocol=protocol,
            precision=how["precision"],
            device=device,
            progress=progress,
        )
        for model, weights in pair_weights(models, how["weights"])
    ]
    return list(Ensemble(members).members)


def _images(
    predictor: "Predictor", source_text: str, split: str, root: Path | None, max_bad: float
) -> "Split":
    """Open the images, with labels in the numbers of the network; bad ones are left out."""
    from convatlas.data.packed import packing_told
    from convatlas.data.sources import open_source
    from convatlas.data.splits import ArraySplit
    from convatlas.data.tolerant import TolerantSplit
    from convatlas.evaluate.alignment import aligned

    source = open_source(source_text, root=root)
    try:
        images = aligned(getattr(source, split), source.card.classes, predictor.classes)
    except InputError as error:
        raise InputError(f"{predictor.name} can't be tested on {source_text}: {error}") from error
    for text in packing_told(source.card, predictor.preprocessing):
        click.echo(f"convatlas evaluate: {text}", err=True)
    if isinstance(images, ArraySplit):
        return images
    return TolerantSplit(images, max_bad, split, tell_left_out)


def _measured(
    predictors: "list[Predictor]", images: "Split", source_text: str, how: dict[str, Any]
) -> "GroupEvaluation":
    from convatlas.cli.progress import show_batches
    from convatlas.evaluate.evaluation import evaluate_ensemble

    names = ", ".join(predictor.name for predictor in predictors)
    with show_batches(f"{names} on {source_text}") as progress:
        return evaluate_ensemble(
            [predictor.answerer for predictor in predictors],
            images,
            predictors[0].classes,
            batch_size=how["batch_size"],
            workers=how["workers"],
            progress=progress,
        )


def _measurements(
    names: list[str], models: tuple[str, ...], found: "GroupEvaluation"
) -> dict[str, Any]:
    """Give what JSON tells of one network, or of several together and alone."""
    alone = len(models) == 1
    document = found.together.to_dict() if alone else found.to_dict()
    if len(found.together.classes) > SPARSE_CLASSES:
        document["confusions"] = _cells(document.pop("confusion"))
    if alone:
        return document
    for member, name, model in zip(document["members"], names, models, strict=True):
        member |= {"architecture": name, "model": model}
    if len(set(names)) > 1:
        del document["spread"]  # of different networks there is no distribution
    return document


def _cells(confusion: list[list[int]]) -> list[tuple[int, int, int]]:
    """Give true class, predicted class and count of what is not 0: of a million, a few."""
    rows = enumerate(confusion)
    return [(i, j, count) for i, row in rows for j, count in enumerate(row) if count]


def _noted(
    models: tuple[str, ...], found: "GroupEvaluation", asked: dict[str, Any], root: Path | None
) -> dict[str, int]:
    """Keep in the folders of runs that their test images were read; count how often they were."""
    if asked["split"] != "test":
        return {}
    reads: dict[str, int] = {}
    for model, alone in zip(models, found.members, strict=True):
        told = {"protocol": asked["protocol"], "together_with": len(models) - 1}
        what = told | {"top1_accuracy": alone.top1_accuracy}
        count = noted(model, asked["source"], root, what, "evaluate")
        if count:
            reads[model] = count
    return reads
