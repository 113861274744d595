"""`convatlas predict`: what is in these images."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

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
from convatlas.errors import FileError

if TYPE_CHECKING:
    from convatlas.serve.predictor import Guess


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, metavar="MODEL... IMAGE...", type=click.Path(path_type=Path)
)
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show."
)
@protocol_option
@scales_option
@weights_option
@weights_from_option
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print the probabilities as JSON.")
def command(
    paths: tuple[Path, ...],
    top: int,
    protocol: str,
    scales: tuple[int, ...] | None,
    weights: tuple[Path, ...],
    weights_from: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Name what is in images, with probabilities.

    A MODEL is a run folder, a .safetensors file, or the name of a network with --weights; several
    make an ensemble, whose probabilities are averaged. Every other path is an IMAGE.

    Example: convatlas predict runs/demo seven.png three.png
    """
    models = [path for path in paths if _is_model(path, named=bool(weights))]
    images = [path for path in paths if path not in models]
    forms = "a run folder, a .safetensors file, or a network's name with --weights"
    for what, found in ((f"MODEL ({forms})", models), ("IMAGE", images)):
        if not found:
            gone = "".join(f"; there is no {path}" for path in paths if not path.exists())
            raise click.UsageError(f"no {what} among: {' '.join(map(str, paths))}{gone}")
    one_source(weights, weights_from)

    from convatlas.cli.progress import show_downloads
    from convatlas.data.images import read_image
    from convatlas.evaluate.protocols import find_protocol
    from convatlas.serve.predictor import Ensemble, Predictor
    from convatlas.weights.opening import pair_weights

    shown, place, told = find_protocol(protocol, scales), chosen(device), show_downloads()
    members = [
        Predictor.load(
            model, file, weights_from if file else None, protocol=shown, device=place, progress=told
        )
        for model, file in pair_weights(models, weights)
    ]
    ensemble = Ensemble(members)
    answers: dict[Path, list[Guess]] = {}
    errors: list[FileError] = []
    for path in images:
        try:
            answers[path] = ensemble.predict(read_image(path), top)
        except FileError as error:  # the other images still get their answer
            errors.append(error)
    if as_json:
        click.echo(_json(models, answers))
    else:
        _print(answers)
    for error in errors[1:]:
        click.echo(f"convatlas predict: {error}", err=True)
    if errors:
        raise errors[0]


def _is_model(path: Path, named: bool) -> bool:
    """Tell a network from an image; a network's name only where weights are given for one."""
    if path.is_dir() or path.suffix == ".safetensors" or str(path).startswith("hf:"):
        return True
    return named and not path.suffix and not path.exists()


def _json(models: list[Path], answers: "dict[Path, list[Guess]]") -> str:
    from dataclasses import asdict

    predictions = [
        {"image": str(path), "guesses": [asdict(guess) for guess in guesses]}
        for path, guesses in answers.items()
    ]
    document = {"models": [str(path) for path in models], "predictions": predictions}
    return json.dumps(document, indent=2, ensure_ascii=False)


def _print(answers: "dict[Path, list[Guess]]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 10_000  # in a pipe every guess is one line
    for path, guesses in answers.items():
        table = Table(box=None, show_header=False, pad_edge=False)
        for guess in guesses:
            bar = ProgressBar(total=1.0, completed=guess.probability, width=24)
            table.add_row(f"{guess.probability:8.2%}", bar, Text(guess.name))
        console.print(f"[bold]{escape(str(path))}[/bold]", soft_wrap=True)
        console.print(table)
