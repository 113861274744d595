"""`convatlas study`: an experiment of a paper, done again, with pass or fail."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convatlas.cli.again import stop
from convatlas.errors import InputError

if TYPE_CHECKING:
    from convatlas.studies.study import Study, StudyResult

RUNS = Path("runs") / "studies"


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--list", "listed", is_flag=True, help="List the studies and what they ask.")
@click.option("--all", "everything", is_flag=True, help="Do all of them, one after the other.")
@click.option(
    "--scale",
    type=click.Choice(["small", "paper"]),
    default="small",
    show_default=True,
    help="small: minutes on two cores; paper: its networks, recipes and images.",
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, metavar="N")
@click.option(
    "--data",
    "instead",
    multiple=True,
    metavar="NAME=SOURCE",
    help="Read these images in place of those a study names: cifar10=folder:PATH.",
)
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the images' files.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=RUNS,
    show_default=True,
    help="Folder in which each study gets its own.",
)
@click.option("--resume", is_flag=True, help="Take up what the folder holds.")
@click.option("--overwrite", is_flag=True, help="Start again where the folder holds a study.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes that measure at once; as many as cores.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(
    names: tuple[str, ...],
    listed: bool,
    everything: bool,
    scale: Any,
    seeds: int,
    instead: tuple[str, ...],
    root: Path | None,
    out: Path,
    resume: bool,
    overwrite: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """Redo the experiments NAME of the papers: numbers with spread, a chart, pass or fail.

    Each leaves measurements, result.json, chart.svg and report.html in a folder. One that was
    stopped goes on with --resume. Exit code 1: a claim failed.

    Example: convatlas study gap_shift --seeds 3
    """
    from convatlas.cli.study_progress import show_studies
    from convatlas.report.study_page import write_study_page
    from convatlas.studies.images import Choice
    from convatlas.studies.registry import STUDIES, find_study
    from convatlas.studies.run import run_study
    from convatlas.train.signals import StoppedError, stop_on_signals

    if listed:
        _list(STUDIES, as_json)
        return
    if bool(names) == everything:
        raise InputError("name the studies, or say --all; --list names them")
    if resume and overwrite:
        raise InputError(
            "--resume goes on with a study and --overwrite starts it again: choose one"
        )
    studies = STUDIES if everything else tuple(map(find_study, dict.fromkeys(names)))
    choice = Choice(root, dict(_replacement(text) for text in instead))
    results = list["StudyResult"]()
    with stop_on_signals() as switch, show_studies() as progress:
        try:
            for study in studies:
                result = run_study(
                    study,
                    out / study.name,
                    scale=scale,
                    seeds=range(seeds),
                    choice=choice,
                    workers=workers or os.cpu_count() or 1,
                    resume=resume,
                    overwrite=overwrite,
                    stop=switch,
                    progress=progress,
                )
                write_study_page(result)
                results.append(result)
        except StoppedError:
            stop(switch.signal, click.get_current_context())
    _report(results, as_json)
    if not all(result.passed for result in results):
        raise click.exceptions.Exit(1)


def _replacement(text: str) -> tuple[str, str]:
    name, separator, source = text.partition("=")
    if not separator or not name or not source:
        raise InputError(
            f"--data takes NAME=SOURCE, such as cifar10=folder:my/images, not {text!r}"
        )
    return name, source


def _list(studies: "tuple[Study, ...]", as_json: bool) -> None:
    from convatlas.cli.tables import print_table

    if as_json:
        shown = [
            {"name": s.name, "title": s.title, "source": s.source, "claim": s.claim,
             "images": s.images}
            for s in studies
        ]  # fmt: skip
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    rows = [(s.name, s.images or "none", s.title, s.source) for s in studies]
    print_table(("study", "images", "what it asks", "source"), rows, wrapped=("what it asks",))


def _report(results: "list[StudyResult]", as_json: bool) -> None:
    from convatlas.report.study_page import PAGE

    if as_json:
        found = [result.to_dict() for result in results]
        click.echo(json.dumps(found if len(found) > 1 else found[0], indent=2))
        return
    for result in results:
        _print(result)
        click.echo(f"  report  {result.folder / PAGE}")
    if len(results) > 1:
        passed = sum(result.passed for result in results)
        click.echo(f"\n{passed} of {len(results)} studies passed")


def _print(result: "StudyResult") -> None:
    from convatlas.cli.tables import print_table
    from convatlas.report.study_page import check_words, rows

    study, content = result.study, result.to_dict()
    count = len(content["seeds"])
    click.echo(f"{study.title}: {result.verdict}")
    click.echo(f"  {study.source}; {result.scale} scale, {count} seed{'s' if count > 1 else ''}\n")
    table = [
        (row.case, *(mean + (f" ({spread})" if spread else "") for mean, spread in row.cells))
        for row in rows(study, content)
    ]
    print_table(("case", *study.shown.values()), table, right=tuple(study.shown.values()))
    click.echo()
    for check in map(check_words, content["checks"]):
        click.echo(f"  {check['verdict']:5}  {check['says']}: {check['found']}")
    if not result.passed and study.if_failed and result.scale == "small":
        click.echo(f"  {study.if_failed}")
