"""`convatlas diff`: what changes from one network to another, and what it costs."""

import json

import click

from convatlas.cli.options import input_option


@click.command()
@click.argument("first", metavar="NAME")
@click.argument("second", metavar="NAME")
@input_option
@click.option("--whole", is_flag=True, help="Give every layer a row, also those that are the same.")
@click.option("--json", "as_json", is_flag=True, help="Print every layer as JSON.")
def command(
    first: str, second: str, input_shape: tuple[int, ...] | None, whole: bool, as_json: bool
) -> None:
    """Align the layers of two networks and show what changes from the first to the second.

    Layers that are alike are folded, whatever they are called; so are many in a row that the
    second network has more or less.

    Example: convatlas diff resnet50 resnet50_v1_5
    """
    from convatlas.analysis.diff import COLUMNS, diff
    from convatlas.cli.tables import print_table

    found = diff(first, second, input_shape)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
        return
    click.echo(f"{found.title}\n")
    _, *rows = found.rows(whole)
    print_table(COLUMNS, rows, right=COLUMNS[2:])
    click.echo()
    head = ("", first, second, "change")
    print_table(head, found.total_rows(), right=head[1:])
