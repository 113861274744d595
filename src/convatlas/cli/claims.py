"""`convatlas claims`: recompute what the papers print."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convatlas.analysis.claims import ClaimResult

_VERDICTS = ("pass", "erratum", "fail", "not derivable")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--ledger",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A folder of YAML files of the same form, in place of convatlas' own ledger.",
)
@click.option(
    "--all", "show_all", is_flag=True, help="Also list what can't be recomputed, and why."
)
@click.option("--json", "as_json", is_flag=True, help="Print every claim as JSON.")
@click.option("--errata", is_flag=True, help="Print the page of the errata, docs/errata.md.")
def command(
    names: tuple[str, ...], ledger: Path | None, show_all: bool, as_json: bool, errata: bool
) -> None:
    """Recompute the numbers that papers print and say which hold.

    NAME is a network (vgg16) or a family (vgg); all by default. pass: the print holds. erratum:
    the print is wrong, the ledger's reference value holds. fail: neither. The exit code is 1 if
    a claim fails.

    Example: convatlas claims vgg16
    """
    from convatlas.analysis.claims import check_claims
    from convatlas.analysis.errata import errata_page

    if errata:
        click.echo(errata_page(ledger), nl=False)
        return
    results = check_claims(names or None, ledger)
    if as_json:
        found = [result.to_dict() for result in results]
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(results, show_all)
    if any(result.verdict == "fail" for result in results):
        raise click.exceptions.Exit(1)


def _print(results: "Sequence[ClaimResult]", show_all: bool) -> None:
    from convatlas.analysis.errata import show_value, what_text
    from convatlas.cli.tables import print_table

    shown = [r for r in results if show_all or r.verdict != "not derivable"]
    rows = [
        (
            what_text(result.claim),
            show_value(result.published),
            "" if result.recomputed is None else show_value(result.recomputed),
            result.verdict,
            result.source,
        )
        for result in shown
    ]
    if rows:
        head = ("claim", "published", "recomputed", "verdict", "source")
        print_table(head, rows, right=("published", "recomputed"), wrapped=("claim",))
        click.echo()
    for result in shown:
        if result.reason:
            click.echo(f"{result.verdict} {result.id}: {result.reason}")
    counts = Counter(result.verdict for result in results)
    hint = "" if show_all or not counts["not derivable"] else " (--all lists them)"
    click.echo(", ".join(f"{counts[verdict]} {verdict}" for verdict in _VERDICTS) + hint)
