"""`convatlas list`: every network, its cost and its paper."""

import json
import sys
from typing import Any

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def command(as_json: bool) -> None:
    """List every network: year, parameters, multiply-adds, native input, paper.

    Counting them all takes some seconds; the result is kept in CONVATLAS_CACHE
    (~/.cache/convatlas).

    Example: convatlas list
    """
    from convatlas import catalog
    from convatlas.analysis.costs import catalog_costs
    from convatlas.analysis.report import size_text
    from convatlas.cli.tables import print_table

    costs = catalog_costs(_progress)
    if as_json:
        networks = [_facts(name, *cost) for name, cost in costs.items()]
        click.echo(json.dumps(networks, indent=2, ensure_ascii=False))
        return
    rows = []
    for name, (params, macs) in costs.items():
        architecture, variant = catalog.find(name)
        size, paper = size_text(variant.input_shape), architecture.paper
        rows.append((name, str(paper.year), f"{params:,}", f"{macs:,}", size, paper.title))
    head = ("name", "year", "params", "MACs", "input", "paper")
    print_table(head, rows, right=("params", "MACs", "input"))
    forms = [form for architecture in catalog.ARCHITECTURES for form in architecture.forms]
    click.echo(f"{len(rows)} networks; any other of the forms {', '.join(forms)}")


def _facts(name: str, params: int, macs: int) -> dict[str, Any]:
    from convatlas import catalog

    architecture, variant = catalog.find(name)
    return {
        "name": name,
        "year": architecture.paper.year,
        "params": params,
        "macs": macs,
        "input_shape": list(variant.input_shape),
        "num_classes": variant.num_classes,
        "paper": architecture.paper.title,
        "url": architecture.paper.url,
        "deviation": variant.deviation,
    }


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[Kcounting network {done + 1} of {total}", nl=False, err=True)
        if done + 1 == total:
            click.echo("\r\033[K", nl=False, err=True)
    elif done == 0:
        click.echo(f"counting {total} networks; the result is kept", err=True)
