"""`convatlas show`: one network, layer by layer."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convatlas.cli.options import input_option, set_option

if TYPE_CHECKING:
    from convatlas.analysis.report import Report
    from convatlas.card import Architecture, Variant

_NUMBERS = ("kernel", "stride", "params", "MACs", "field")


@click.command()
@click.argument("name")
@input_option
@click.option(
    "--classes", type=click.IntRange(min=1), metavar="N", help="Outputs of the last layer."
)
@set_option
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw its stages and what they cost: a .png or .svg file.",
)
@click.option(
    "--block",
    metavar="LAYER",
    help="With --plot: draw the layers of one block instead, such as stages.conv2_x.0.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    name: str,
    input_shape: tuple[int, ...] | None,
    classes: int | None,
    changes: dict[str, Any],
    plot: Path | None,
    block: str | None,
    as_json: bool,
) -> None:
    """Show a network layer by layer: shapes, parameters, multiply-adds, receptive fields.

    Nothing is allocated: the network is only traced. With --set it is another network than the
    paper's, and what that changes in all is shown too. Drawing needs the extra `plot`.

    Example: convatlas show resnet50 --input 3x320x320 --set shortcut=A
    """
    from convatlas import catalog
    from convatlas.analysis.diff import diff_reports
    from convatlas.analysis.report import COUNTED, analyze_name
    from convatlas.analysis.surgery import altered
    from convatlas.cli.tables import print_table
    from convatlas.plots import check_chart

    if plot is not None:
        check_chart(plot)
    elif block is not None:
        raise click.UsageError("--block needs --plot FILE to draw to")
    report = altered(name, changes, input_shape, classes)
    paper = analyze_name(name, input_shape, classes) if changes else report
    architecture, variant = catalog.find(name)
    deviations = _deviations(architecture, variant)
    found = diff_reports(paper, report)
    if plot is not None:
        _draw(report, block, plot)
    if as_json:
        card = {"paper": _paper(architecture), "deviations": deviations}
        card |= {"diff": found.to_dict()} if changes else {}
        click.echo(json.dumps(report.to_dict() | card, indent=2, ensure_ascii=False))
        return
    _print(report, _paper(architecture), deviations)
    if changes:
        settings = ", ".join(f"{key}={value}" for key, value in changes.items())
        head = ("", name, settings, "change")
        print_table(head, found.total_rows(), right=head[1:])
        click.echo()
    click.echo(COUNTED)


def _draw(report: "Report", block: str | None, plot: Path) -> None:
    from convatlas.analysis.block_chart import draw_blocks
    from convatlas.analysis.blocks import find_block
    from convatlas.analysis.network_chart import draw_network

    if block is None:
        draw_network(report, plot)
    else:
        draw_blocks({f"{report.name}, {block}": find_block(report, block)}, plot)
    click.echo(f"drew {plot}", err=True)


def _print(report: "Report", paper: dict[str, Any], deviations: list[str]) -> None:
    from convatlas.analysis.report import size_text
    from convatlas.cli.tables import print_table

    click.echo(f"{report.name} on {size_text(report.input_shape)}")
    click.echo("{title}\n{authors}, {year}, {url}\n".format(**paper))
    head, *rows = report.rows()
    print_table(head, rows, right=_NUMBERS)
    click.echo()
    for what, amount in report.totals():
        click.echo(f"{what + ':':17}{amount}")
    smallest = report.min_input_size
    if smallest is not None:
        click.echo(f"{'least input:':17}{smallest}x{smallest}")
    for deviation in deviations:
        click.echo(f"{'deviation:':17}{deviation}")
    click.echo()


def _paper(architecture: "Architecture") -> dict[str, Any]:
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
