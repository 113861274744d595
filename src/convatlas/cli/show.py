"""`convatlas show`: one network, layer by layer."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convatlas.cli.options import input_option, set_option

if TYPE_CHECKING:
    from convatlas.report.shown import Shown

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
    from convatlas.cli.tables import print_table
    from convatlas.report.shown import shown

    if plot is not None:
        _draw(name, input_shape, classes, changes, block, plot)
    elif block is not None:
        raise click.UsageError("--block needs --plot FILE to draw to")
    found = shown(name, input_shape, classes, changes)
    if as_json:
        click.echo(json.dumps(found.document, indent=2, ensure_ascii=False))
        return
    _print(found)
    if found.changes:
        settings = ", ".join(f"{key}={value}" for key, value in changes.items())
        head = ("", name, settings, "change")
        print_table(head, found.changes, right=head[1:])
        click.echo()
    click.echo(found.document["counted"])


def _draw(
    name: str,
    input_shape: tuple[int, ...] | None,
    classes: int | None,
    changes: dict[str, Any],
    block: str | None,
    plot: Path,
) -> None:
    from convatlas.plots import check_chart

    check_chart(plot)  # before anything is computed for it
    from convatlas.analysis.block_chart import draw_blocks
    from convatlas.analysis.blocks import find_block
    from convatlas.analysis.network_chart import draw_network
    from convatlas.analysis.surgery import altered

    report = altered(name, changes, input_shape, classes)
    if block is None:
        draw_network(report, plot)
    else:
        draw_blocks({f"{report.name}, {block}": find_block(report, block)}, plot)
    click.echo(f"drew {plot}", err=True)


def _print(found: "Shown") -> None:
    from convatlas.cli.tables import print_table

    facts = found.document
    size = "x".join(map(str, facts["input_shape"])) or "1"
    click.echo(f"{facts['name']} on {size}")
    click.echo("{title}\n{authors}, {year}, {url}\n".format(**facts["paper"]))
    head, *rows = found.rows
    print_table(head, rows, right=_NUMBERS)
    click.echo()
    for what, amount in found.totals:
        click.echo(f"{what + ':':17}{amount}")
    smallest = facts["min_input_size"]
    if smallest is not None:
        click.echo(f"{'least input:':17}{smallest}x{smallest}")
    for deviation in facts["deviations"]:
        click.echo(f"{'deviation:':17}{deviation}")
    click.echo()
