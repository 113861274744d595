"""`convatlas features`: what a layer says of each image, and what a linear probe makes of it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convatlas.cli.model_options import chosen, device_option
from convatlas.cli.options import max_bad_option
from convatlas.cli.readings import noted
from convatlas.errors import InputError

if TYPE_CHECKING:
    from convatlas.evaluate.descriptors import Descriptors
    from convatlas.evaluate.probe import Probe

SPLITS = ("train", "val", "test")


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--data", "source_text", required=True, metavar="SOURCE", help="digits, mnist, folder:PATH, ..."
)
@click.option("--at", "layer", required=True, metavar="LAYER", help="Such as stages.conv4_x.")
@click.option(
    "--split", type=click.Choice(SPLITS), default="train", show_default=True, help="For --out."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.npz", help="To write them.")
@click.option("--probe", is_flag=True, help="Fit a linear classifier on train, test it on test.")
@click.option(
    "--pooling",
    type=click.Choice(["average", "flatten"]),
    default="average",
    show_default=True,
    help="What becomes of maps.",
)
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the source's files.")
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True)
@device_option
@max_bad_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    model: Path,
    source_text: str,
    layer: str,
    split: str,
    out: Path | None,
    probe: bool,
    pooling: str,
    root: Path | None,
    batch_size: int,
    workers: int,
    device: str,
    max_bad: float,
    as_json: bool,
) -> None:
    """Take the activations of a LAYER as a descriptor of each image.

    They go into a .npz file (vectors, labels, names, classes), and --probe says how well one
    linear layer on them knows the classes. The classes need not be the network's own.

    Example: convatlas features runs/demo --data digits --at head.act6 --probe
    """
    from convatlas.cli.progress import show_batches
    from convatlas.data.sources import open_source
    from convatlas.data.tolerant import tolerant
    from convatlas.evaluate.descriptors import check_npz, describe, write_descriptors
    from convatlas.evaluate.probe import fit_probe
    from convatlas.serve.predictor import Predictor

    if out is None and not probe:
        raise InputError("nothing to do: give --out FILE.npz, --probe, or both")
    if out is not None:
        check_npz(out)
    predictor = Predictor.load(model, device=chosen(device))
    source = tolerant(open_source(source_text, root=root), max_bad, _tell)

    def of(name: str) -> "Descriptors":
        with show_batches(f"{predictor.name} on {name} of {source_text}") as progress:
            return describe(
                predictor.model,
                getattr(source, name),
                predictor.preprocessing,
                source.card.classes,
                layer,
                pooling="flatten" if pooling == "flatten" else "average",
                batch_size=batch_size,
                workers=workers,
                progress=progress,
            )

    found = of(split if out is not None else "train")
    result = {"model": str(model), "layer": layer, "length": found.vectors.shape[1]}
    if out is not None:
        write_descriptors(found, out)
        result |= {"out": str(out), "split": split, "count": len(found.labels)}
    if probe:
        fitted = fit_probe(found if split == "train" or out is None else of("train"))
        result["probe"] = _tested(fitted, of("test"))
        what = {"probe": layer, "top1_accuracy": result["probe"]["top1_accuracy"]}
        noted(str(model), source_text, root, what, "features")
    click.echo(json.dumps(result, indent=2) if as_json else _text(result))


def _tell(_name: str, reason: str) -> None:
    click.echo(f"convatlas features: left out: {reason}", err=True)


def _tested(probe: "Probe", test: "Descriptors") -> dict:
    return {
        "top1_accuracy": probe.accuracy(test),
        "top5_accuracy": probe.accuracy(test, min(5, len(test.classes))),
        "train_accuracy": probe.train_accuracy,
        "penalty": probe.penalty,
        "count": len(test.labels),
    }


def _text(result: dict) -> str:
    lines = [f"{result['layer']} of {result['model']}: {result['length']:,} numbers an image"]
    if "out" in result:
        lines.append(f"wrote {result['count']:,} images of {result['split']} to {result['out']}")
    if "probe" in result:
        probe = result["probe"]
        lines.append(
            f"linear probe: test {probe['top1_accuracy']:.2%} of {probe['count']:,} images, "
            f"train {probe['train_accuracy']:.2%}, penalty {probe['penalty']:g} by "
            "cross-validation on train"
        )
    return "\n".join(lines)
