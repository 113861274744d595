"""`convatlas list`: every network, its cost and its paper."""

import json
import sys
from typing import Any

import click


@click.command()
@click.option("--weights", "weights", is_flag=True, help="List the weights that can be had.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def command(weights: bool, as_json: bool) -> None:
    """List every network: year, parameters, multiply-adds, native input, weights, paper.

    The weights are those that create(name, weights=...) and --weights take by name; a star marks
    those that are at hand, the others are downloaded at their first use.

    Counting all networks takes some seconds; the result is kept in CONVATLAS_CACHE
    (~/.cache/convatlas), as are weights.

    Example: convatlas list
    Example: convatlas list --weights
    """
    if weights:
        _list_weights(as_json)
        return
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
        sizes = f"{params:,}", f"{macs:,}", size
        rows.append((name, str(paper.year), *sizes, _weights_of(name), paper.title))
    head = ("name", "year", "params", "MACs", "input", "weights", "paper")
    print_table(head, rows, right=("params", "MACs", "input"))
    forms = [form for architecture in catalog.ARCHITECTURES for form in architecture.forms]
    click.echo(f"{len(rows)} networks; any other of the forms {', '.join(forms)}")


def _facts(name: str, params: int, macs: int) -> dict[str, Any]:
    from convatlas import catalog
    from convatlas.weights.published import place, published

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
        "weights": {entry.name: place(entry).is_file() for entry in published(name)},
    }


def _weights_of(name: str) -> str:
    from convatlas.weights.published import place, published

    return " ".join(f"{e.name}{'*' if place(e).is_file() else ''}" for e in published(name))


def _list_weights(as_json: bool) -> None:
    from dataclasses import asdict

    from convatlas.cli.tables import print_table
    from convatlas.weights.published import place, published

    entries = published()
    if as_json:
        hidden = ("preprocessing",)
        facts = [
            {key: value for key, value in asdict(entry).items() if key not in hidden}
            | {"at_hand": place(entry).is_file(), "file": str(place(entry))}
            for entry in entries
        ]
        click.echo(json.dumps(facts, indent=2))
        return
    rows = [
        (
            entry.network,
            entry.name,
            "yes" if place(entry).is_file() else "",
            f"{entry.megabytes:,.1f} MB",
            f"{entry.top1_accuracy:.2f} %",
            entry.data,
            entry.licence,
        )
        for entry in entries
    ]
    head = ("network", "weights", "at hand", "download", "top-1", "data", "licence")
    print_table(head, rows, right=("download", "top-1"))


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[Kcounting network {done + 1} of {total}", nl=False, err=True)
        if done + 1 == total:
            click.echo("\r\033[K", nl=False, err=True)
    elif done == 0:
        click.echo(f"counting {total} networks; the result is kept", err=True)
