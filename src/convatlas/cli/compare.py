"""`convatlas compare`: networks side by side."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convatlas.cli.options import input_option

if TYPE_CHECKING:
    from convatlas.analysis.compare import Comparison, Entry


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@input_option
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="N",
    help="Images, for the predicted peaks of memory.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw accuracy against operations, parameters as area: a .png or .svg file.",
)
@click.option(
    "--top",
    type=click.Choice(["1", "5"]),
    default="1",
    show_default=True,
    help="Draw top-1 or top-5 accuracy.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    names: tuple[str, ...],
    input_shape: tuple[int, ...] | None,
    batch: int,
    plot: Path | None,
    top: str,
    as_json: bool,
) -> None:
    """Put networks side by side: costs, predicted peak memory, published errors.

    Errors are those that papers print for one network, tested in the way that most of the
    networks share; every test is in the JSON. Drawing needs the extra `plot`.

    Example: convatlas compare alexnet vgg16 resnet50 densenet121 --plot chart.png
    """
    from convatlas.analysis.bubbles import draw_bubbles
    from convatlas.analysis.compare import compare
    from convatlas.plots import check_chart

    if plot is not None:
        check_chart(plot)
    found = compare(names, batch, input_shape, _progress)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        _print(found)
    if plot is not None:
        missing = draw_bubbles(found, plot, 5 if top == "5" else 1)
        click.echo(f"drew {plot}", err=as_json)
        for name, reason in missing.items():
            click.echo(f"not drawn: {name}, {reason}", err=True)


def _print(found: "Comparison") -> None:
    from convatlas.cli.tables import print_table

    rows = [_row(entry) for entry in found.entries]
    head = (
        *("network", "input", "params", "MACs", "depth", "activations", "field"),
        *("inference", "training", "top-1", "top-5", "tested on"),
    )
    print_table(head, rows, right=head[1:-1])
    click.echo(
        "\nparams, MACs, activations: for one image. depth: weight layers on the longest path. "
        f"inference, training: predicted\npeak memory on a batch of {found.batch:,}, training "
        "with momentum. top-1, top-5: errors in %, as published:"
    )
    for entry in found.entries:
        source = entry.published.source if entry.published else "nobody prints any"
        click.echo(f"  {entry.name}: {source}")


def _row(entry: "Entry") -> tuple[str, ...]:
    from convatlas.analysis.budget import bytes_text
    from convatlas.analysis.report import size_text

    report, published = entry.report, entry.published
    errors = (published.top1_error, published.top5_error) if published else (None, None)
    return (
        entry.name,
        size_text(report.input_shape),
        f"{report.params:,}",
        f"{report.macs:,}",
        f"{report.weight_layers}",
        bytes_text(report.activation_bytes),
        f"{report.receptive_field}",
        bytes_text(entry.inference_bytes),
        bytes_text(entry.training_bytes),
        *("" if error is None else f"{error:.2f}" for error in errors),
        published.test if published else "",
    )


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[Kmeasuring network {done + 1} of {total}", nl=False, err=True)
        if done + 1 == total:
            click.echo("\r\033[K", nl=False, err=True)
