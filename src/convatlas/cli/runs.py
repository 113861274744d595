"""`convatlas runs`: what was trained, how it went, and what tells runs apart."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from convatlas.report.runs import Run

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 16  # characters of a curve in the table


@click.command()
@click.argument("places", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER]...")
@click.option("--compare", is_flag=True, help="Show the settings in which the runs differ.")
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw their curves: .png, .svg."
)
@click.option("--json", "as_json", is_flag=True, help="Print the runs as JSON.")
def command(places: tuple[Path, ...], compare: bool, plot: Path | None, as_json: bool) -> None:
    """List the runs in the FOLDERs, by default in runs/: settings, curve, result.

    Example: convatlas runs runs/a runs/b --compare --plot curves.svg
    """
    from convatlas.plots import check_chart
    from convatlas.report.runs import differences, find_runs

    if plot is not None:
        check_chart(plot)
    usual = [Path("runs")] if Path("runs").is_dir() else []
    runs, broken = find_runs(places or usual)
    different = differences(runs) if compare else {}
    if as_json:
        listed = [run.to_dict() for run in runs]
        shown = {"runs": listed, "different": different} if compare else listed
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        _print(runs, places)
        if compare:
            click.echo()
            _print_differences(runs, different)
    for folder, reason in broken.items():
        click.echo(f"left out {folder}: {reason}", err=True)
    if plot is not None:
        from convatlas.report.curves import draw_curves

        draw_curves(runs, _names(runs), plot)
        click.echo(f"drew {plot}", err=as_json)


def _print(runs: "list[Run]", places: tuple[Path, ...]) -> None:
    from convatlas.cli.tables import print_table

    if not runs:
        where = ", ".join(map(str, places)) or "runs"
        click.echo(f"no runs in {where}; convatlas train NAME --data SOURCE makes one")
        return
    rows = [
        (
            name,
            run.config["architecture"],
            str(run.config.get("source", "")),
            str(run.config.get("recipe_name", "")),
            str(run.config.get("seed", "")),
            f"{len(run.epochs)}/{run.config.get('recipe', {}).get('epochs', '?')}",
            spark([value for _, value in run.curve(run.watched[0])] if run.watched else []),
            _percent(run.watched),
            _percent(run.tested),
            run.state,
            f"{run.changed:%Y-%m-%d %H:%M}",
        )
        for run, name in zip(runs, _names(runs), strict=True)
    ]
    head = (
        *("run", "network", "data", "recipe", "seed", "epochs", "curve"),
        *("validation", "test", "state", "changed"),
    )
    print_table(head, rows, right=("seed", "epochs", "validation", "test"))


def _print_differences(runs: "list[Run]", different: dict[str, list]) -> None:
    from convatlas.cli.tables import print_table

    if not different:
        click.echo("the runs have the same settings")
        return
    rows = [(name, *map(_shown, values)) for name, values in different.items()]
    print_table(("setting", *_names(runs)), rows)


def _names(runs: "list[Run]") -> list[str]:
    """Call each run by its path without what all of them share."""
    paths = [str(run.path) for run in runs]
    if len(paths) < 2:
        return paths
    shared = os.path.commonpath(paths)
    return [os.path.relpath(path, shared) if shared else path for path in paths]


def spark(values: list[float]) -> str:
    """Draw values as a row of bars, the lowest of them empty, each bar the last of its stretch."""
    if not values:
        return ""
    count = min(_WIDTH, len(values))
    picked = [values[(i + 1) * len(values) // count - 1] for i in range(count)]
    low, high = min(picked), max(picked)
    span = (high - low) or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in picked)


def _percent(number: tuple[str, float] | None) -> str:
    return "" if number is None else f"{number[1]:.2%}"


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
