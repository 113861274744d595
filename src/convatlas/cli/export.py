"""`convatlas export`: a trained network as a file of another runtime."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convatlas.cli.model_options import weights_from_option
from convatlas.errors import InputError

if TYPE_CHECKING:
    from convatlas.data.splits import Split
    from convatlas.export.writing import Exported


@click.command()
@click.argument("model", metavar="MODEL", type=click.Path())
@click.option(
    "--format",
    "format_name",
    required=True,
    metavar="FORMAT",
    help="onnx (.onnx), openvino (.xml and .bin) or torch (.pt2, of torch.export).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file to write; by default the network's name.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where MODEL is the name of a network: its weights.",
)
@weights_from_option
@click.option(
    "--fixed-size",
    is_flag=True,
    help="Take images of one size only; quicker to write, and to run in some runtimes.",
)
@click.option(
    "--data",
    "source_text",
    metavar="SOURCE",
    help="Real images to compare on: digits, folder:PATH, ...; by default embedded digits.",
)
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the source's files.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(
    model: str,
    format_name: str,
    out: Path | None,
    weights: Path | None,
    weights_from: str | None,
    fixed_size: bool,
    source_text: str | None,
    root: Path | None,
    as_json: bool,
) -> None:
    """Write a trained network for another runtime, and prove that the file answers alike.

    MODEL is a run folder, a .safetensors file, or the name of a network with --weights. The file
    takes any number of images, and where the network allows it any size; class names and
    preprocessing are kept inside. It is reloaded by its runtime and compared with the network over
    random and real images before it gets its name; where an answer differs nothing is written.

    Example: convatlas export runs/demo --format onnx --out digits.onnx
    """
    from convatlas.export.formats import find_format
    from convatlas.export.writing import checked_format, export_network
    from convatlas.weights.opening import open_model

    if weights_from is not None and weights is None:
        raise InputError("--weights-from tells who wrote --weights: there are none")
    suffix = find_format(format_name).suffixes[0]
    checked_format(out or f"network{suffix}", format_name)  # before the network is loaded
    images = _images(source_text, root)
    network, metadata = open_model(model, weights, weights_from)
    path = out or Path(f"{metadata['architecture']}{suffix}")
    found = export_network(
        network, metadata, path, format_name, any_size=not fixed_size, images=images
    )
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
        return
    _print(found, metadata["architecture"])


def _images(source_text: str | None, root: Path | None) -> "Split | None":
    if source_text is None:
        return None
    from convatlas.data.sources import open_source

    return open_source(source_text, root=root).test


def _print(found: "Exported", name: str) -> None:
    shape = "x".join(map(str, found.input_shape))
    click.echo(f"{' and '.join(found.files)}: {name}, images {shape}, {found.bytes / 1e6:,.1f} MB")
    for check in found.checks:
        same = f"the same class for {check.agreement.top1:.1%}"
        error = f"relative error {check.agreement.relative_error:.1e}"
        click.echo(f"reloaded and compared over {check.images} images: {error}, {same}")
    if not any(check.images.endswith("real") for check in found.checks):
        click.echo(
            "convatlas export: the file of the network tells no preprocessing: random images only",
            err=True,
        )
