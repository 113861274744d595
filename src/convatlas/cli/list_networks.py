"""`convatlas list`: every network, its cost and its paper."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from convatlas.report.listing import Listed


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
    from convatlas.cli.tables import print_table
    from convatlas.report.listing import listing

    found = listing(_progress)
    if as_json:
        networks = [_facts(network) for network in found.networks]
        click.echo(json.dumps(networks, indent=2, ensure_ascii=False))
        return
    rows = []
    for network in found.networks:
        size = "x".join(map(str, network.input_shape))
        sizes = f"{network.params:,}", f"{network.macs:,}", size
        rows.append((network.name, str(network.year), *sizes, _weights_of(network), network.paper))
    head = ("name", "year", "params", "MACs", "input", "weights", "paper")
    print_table(head, rows, right=("params", "MACs", "input"))
    click.echo(f"{len(rows)} networks; any other of the forms {', '.join(found.forms)}")


def _facts(network: "Listed") -> dict[str, Any]:
    from dataclasses import asdict

    from convatlas.weights.places import weights_file

    there = {name: weights_file(network.name, name).is_file() for name in network.weights}
    return asdict(network) | {"weights": there}


def _weights_of(network: "Listed") -> str:
    from convatlas.weights.places import weights_file

    names = network.weights
    return " ".join(f"{n}{'*' if weights_file(network.name, n).is_file() else ''}" for n in names)


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
