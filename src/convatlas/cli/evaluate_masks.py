"""What `convatlas evaluate` does with a source of images and masks."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convatlas.cli.model_options import chosen
from convatlas.cli.options import tell_left_out
from convatlas.cli.readings import noted
from convatlas.errors import InputError, unknown

if TYPE_CHECKING:
    from convatlas.evaluate.segmentation import SegmentationEvaluation
    from convatlas.serve.predictor import Predictor

PROTOCOLS = {"center": 1, "turns": 8}  # and how often each tile is seen
SHOWN = 10  # images that the table lists


def evaluate_masks(
    models: tuple[str, ...],
    source_text: str,
    split: str,
    root: Path | None,
    as_json: bool,
    how: dict[str, Any],
) -> None:
    """Segment the images of a split and print how well the classes overlap.

    Args:
        models: One network.
        source_text: Images and masks.
        split: Of the source.
        root: What its path is relative to.
        as_json: Print all that was measured.
        how: The other options of the verb, of which masks know the protocol, the device and
            how much may be bad.

    Raises:
        InputError: Several networks; one that gives classes to images; other classes; an option
            that is of whole images.
    """
    from convatlas.cli.progress import show_batches
    from convatlas.data.segmentation import open_segmentation
    from convatlas.data.tolerant import TolerantPairs
    from convatlas.evaluate.segmentation import evaluate_segmentation
    from convatlas.evaluate.tiling import Tiling
    from convatlas.serve.predictor import Predictor

    tiling = Tiling(turns=_turns(how))
    if len(models) > 1:
        raise InputError(f"images and masks test one network at a time; got {len(models)}")
    predictor = Predictor.load(models[0], device=chosen(how["device"]))
    source = open_segmentation(source_text, root=root)
    images = TolerantPairs(getattr(source, split), how["max_bad"], split, tell_left_out)
    _check_classes(predictor, source.card.classes, source_text)
    with show_batches(f"{predictor.name} on {source_text}") as progress:
        found = evaluate_segmentation(
            predictor.model,
            images,
            predictor.preprocessing,
            cells=True,
            tiling=tiling,
            progress=progress,
        )
    reads = 0
    if split == "test":
        what = {"mean_iou": found.mean_iou, "pixel_error": found.pixel_error}
        reads = noted(models[0], source_text, root, what, "evaluate")
    asked: dict[str, Any] = {
        "model": models[0],
        "architecture": predictor.name,
        "source": source_text,
        "split": split,
        "protocol": how["protocol"],
    }
    if as_json:
        more = {"test_reads": reads} if reads else {}
        click.echo(json.dumps(asked | more | found.to_dict(), indent=2, ensure_ascii=False))
        return
    _print(asked, found)
    if reads:
        click.echo(
            f"\nThe test images of {models[0]} were read {reads} times so far, the test at the end "
            "of its training included: what is chosen by them is no longer measured."
        )


def _turns(how: dict[str, Any]) -> int:
    """Read the protocol; refuse what masks have no use for."""
    plain = {"weights": (), "weights_from": None, "scales": None, "out": None}
    for name, value in {**plain, "precision": "float32"}.items():
        if how[name] != value:
            raise InputError(f"images and masks take no --{name.replace('_', '-')}")
    if how["protocol"] not in PROTOCOLS:
        raise unknown("protocol of images and masks", how["protocol"], PROTOCOLS)
    return PROTOCOLS[how["protocol"]]


def _check_classes(predictor: "Predictor", given: tuple[str, ...], source: str) -> None:
    if predictor.classes != given:
        raise InputError(
            f"{predictor.name} can't be tested on {source}: it knows the classes "
            f"{', '.join(predictor.classes)}; the masks have {', '.join(given)}"
        )


def _print(asked: dict[str, Any], found: "SegmentationEvaluation") -> None:
    from rich.console import Console
    from rich.markup import escape

    from convatlas.cli.tables import print_table

    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"[bold]{asked['architecture']}[/bold] on the {asked['split']} split of "
        f"{escape(asked['source'])}, {found.count:,} images, {found.pixels:,} pixels"
    )
    figures = {
        "mean IoU": f"{found.mean_iou:8.2%}  (intersection over union)",
        "mean Dice": f"{found.mean_dice:8.2%}",
        "pixel error": f"{found.pixel_error:8.2%}",
        "loss": f"{found.loss:8.4f}",
    }
    if found.rand_error is not None:
        figures["Rand error"] = f"{found.rand_error:8.4f}  (of cells, mean over images)"
        figures["warping error"] = f"{found.warping_error:10.6f}"
        figures["splits, mergers"] = f"{found.split_merge_error:10.6f}  (of the warping error)"
    for name, value in figures.items():
        console.print(f"  {name:15} {value}")
    console.print()
    rows = [
        (name, f"{sum(row):,}", _share(values["iou"]), _share(values["dice"]))
        for (name, values), row in zip(found.per_class.items(), found.confusion, strict=True)
    ]
    print_table(("class", "pixels", "IoU", "Dice"), rows, right=("pixels", "IoU", "Dice"))
    console.print()
    worst = sorted(found.images, key=lambda score: (score.mean_iou, score.index))[:SHOWN]
    images = [(s.name, f"{s.mean_iou:.1%}", f"{s.pixel_error:.2%}") for s in worst]
    head = ("image, the worst first", "mean IoU", "pixel error")
    print_table(head, images, right=("mean IoU", "pixel error"))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
