"""`convatlas show`: one network, layer by layer."""

import json
from typing import TYPE_CHECKING

import click

from convatlas.cli.options import input_option

if TYPE_CHECKING:
    from convatlas.card import Architecture, Variant

_NUMBERS = ("kernel", "stride", "params", "MACs", "field")


@click.command()
@click.argument("name")
@input_option
@click.option(
    "--classes", type=click.IntRange(min=1), metavar="N", help="Outputs of the last layer."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    name: str, input_shape: tuple[int, ...] | None, classes: int | None, as_json: bool
) -> None:
    """Show a network layer by layer: shapes, parameters, multiply-adds, receptive fields.

    Nothing is allocated: the network is only traced.

    Example: convatlas show resnet50 --input 3x320x320
    """
    from convatlas import catalog
    from convatlas.analysis.report import COUNTED, analyze_name, size_text
    from convatlas.cli.tables import print_table

    report = analyze_name(name, input_shape, classes)
    architecture, variant = catalog.find(name)
    if as_json:
        card = {"paper": _paper(architecture), "deviations": _deviations(architecture, variant)}
        click.echo(json.dumps(report.to_dict() | card, indent=2, ensure_ascii=False))
        return
    click.echo(f"{name} on {size_text(report.input_shape)}")
    click.echo("{title}\n{authors}, {year}, {url}\n".format(**_paper(architecture)))
    head, *rows = report.rows()
    print_table(head, rows, right=_NUMBERS)
    click.echo()
    for what, amount in report.totals():
        click.echo(f"{what + ':':17}{amount}")
    smallest = report.min_input_size
    if smallest is not None:
        click.echo(f"{'least input:':17}{smallest}x{smallest}")
    for deviation in _deviations(architecture, variant):
        click.echo(f"{'deviation:':17}{deviation}")
    click.echo(f"\n{COUNTED}")


def _paper(architecture: "Architecture") -> dict[str, str | int]:
    paper = architecture.paper
    return {
        "title": paper.title,
        "authors": paper.authors,
        "year": paper.year,
        "url": paper.url,
    }


def _deviations(architecture: "Architecture", variant: "Variant") -> list[str]:
    own = [variant.deviation] if variant.deviation else []
    return [*own, *architecture.deviations]
