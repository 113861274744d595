"""`convatlas convert`: weights of another library, as a file of convatlas."""

import json
from pathlib import Path
from typing import Any

import click

from convatlas.errors import FileError, InputError

_EXAMPLE = '{"size": [224, 224], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}'


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("name")
@click.option(
    "--source",
    default="torchvision",
    show_default=True,
    help="Who named the weights: torchvision, timm, caffe, gluon or akamaster.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; by default NAME.safetensors.",
)
@click.option(
    "--preprocessing",
    "preprocessing_text",
    metavar="JSON",
    help="How images are prepared, instead of how the source's own weights need them.",
)
@click.option(
    "--classes",
    "classes_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A text file with the name of a class on each line, in the order of the outputs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(
    file: Path,
    name: str,
    source: str,
    out: Path | None,
    preprocessing_text: str | None,
    classes_file: Path | None,
    as_json: bool,
) -> None:
    """Convert weights of another library into a file that every verb takes.

    FILE is a .safetensors, .npz, or .pth file; of the last only tensors are read, no code is run.
    NAME is the network of convatlas that computes what theirs does.

    Example: convatlas convert resnet50.pth resnet50_v1_5 --source torchvision
    """
    from convatlas.weights.foreign import load_foreign
    from convatlas.weights.store import save

    model, metadata = load_foreign(file, name, source)
    if preprocessing_text is not None:
        metadata["preprocessing"] = _preprocessing(preprocessing_text)
    if classes_file is not None:
        metadata["classes"] = _classes(classes_file)
    out = out or Path(f"{name}.safetensors")
    save(model, out, metadata)
    if as_json:
        click.echo(json.dumps({"file": str(out), "architecture": name, **metadata}, indent=2))
        return
    click.echo(f"{out}: {name}, converted from {source}'s {metadata['converted_from']['network']}")
    if "preprocessing" not in metadata:
        click.echo(
            f"convatlas convert: weights of {source} were trained with several preprocessings, so "
            "the file tells none and can't predict; --preprocessing JSON tells it",
            err=True,
        )


def _preprocessing(text: str) -> dict[str, Any]:
    from convatlas.data.preprocess import Preprocessing

    try:
        fields = json.loads(text)
    except ValueError as error:
        raise InputError(f"--preprocessing takes JSON, not {text!r}: {error}") from error
    if not isinstance(fields, dict):
        raise InputError(f"--preprocessing takes a JSON object such as {_EXAMPLE}, not {text!r}")
    return Preprocessing.from_dict(fields).to_dict()


def _classes(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} is no text file of class names: {error}") from error
