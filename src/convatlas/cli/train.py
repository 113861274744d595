"""`convatlas train`: from a network's name and images to trained weights and a report."""

import json
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convatlas.cli.again import stop
from convatlas.cli.options import net_option
from convatlas.cli.train_options import run_options, start, with_beginning, with_computing
from convatlas.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from convatlas.train.run import RunResult
    from convatlas.train.seeds import SeedsResult


@click.command()
@click.argument("name")
@click.option(
    "--data", "source_text", required=True, metavar="SOURCE", help="digits, mnist, folder:PATH, ..."
)
@click.option("--recipe", "recipe_name", help="How to train; by default as the images suggest.")
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help="Passes over the images, instead of the recipe's; the schedule is stretched to match.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Train N times, from --seed on, and report mean and spread.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Change a field of the recipe, such as optimizer.lr=0.01; may be repeated.",
)
@net_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the run; by default runs/NAME-SOURCE-seedS.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@click.option("--overwrite", is_flag=True, help="Start again where the folder holds a run.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the source's files.")
@click.option(
    "--accept-data",
    is_flag=True,
    help="Go on with --resume although the images have changed.",
)
@with_beginning
@with_computing
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    name: str,
    source_text: str,
    recipe_name: str | None,
    epochs: int | None,
    seed: int,
    seeds: int,
    settings: tuple[str, ...],
    overrides: dict[str, Any],
    out: Path | None,
    resume: bool,
    overwrite: bool,
    root: Path | None,
    accept_data: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Train the network NAME and leave config, metrics, weights and a report in a folder.

    A run that was stopped, or killed, goes on with --resume and ends as if nothing had been.

    Example: convatlas train lenet5_modern --data digits --out runs/demo
    """
    if resume and overwrite:
        raise InputError("--resume goes on with a run and --overwrite starts it again: choose one")
    from convatlas.cli.train_ranks import stopped_by, together
    from convatlas.train.seeds import start_runs
    from convatlas.train.signals import StoppedError, stop_on_signals

    out = out or default_folder(name, source_text, seed)
    result = None
    with (
        stop_on_signals() as switch,
        together() as (ranks, progress),
        suppress(StoppedError),
    ):
        result = start_runs(
            name,
            source_text,
            out=out,
            seeds=range(seed, seed + seeds),
            progress=progress,
            recipe_name=recipe_name,
            epochs=epochs,
            changes=dict(_setting(text) for text in settings),
            overrides=overrides,
            resume=resume,
            overwrite=overwrite,
            root=root,
            accept_data=accept_data,
            start=start(given),
            options=run_options(given, ranks),
            stop=switch,
        )
    stopped = result is None or not result.complete
    if result is not None and ranks.first:
        _report(result, root, as_json)
    number = stopped_by(switch.signal, stopped)
    if number is not None and stopped:
        launcher = "" if ranks.size == 1 else "torchrun ... -m "
        stop(number, click.get_current_context(), launcher=launcher, told=ranks.first)


def default_folder(name: str, source_text: str, seed: int) -> Path:
    """Name the folder of a run that was given none: runs/lenet5-digits-seed0."""
    source = source_text.rstrip("/").replace(":", "-").rpartition("/")[2]
    return Path("runs") / f"{name}-{source}-seed{seed}"


def _setting(text: str) -> tuple[str, Any]:
    """Read FIELD=VALUE; what is not JSON is a string."""
    field, separator, value = text.partition("=")
    if not separator or not field:
        raise InputError(f"--set takes FIELD=VALUE, such as optimizer.lr=0.01, not {text!r}")
    try:
        return field, json.loads(value)
    except ValueError:
        return field, value


def _report(result: "SeedsResult", root: Path | None, as_json: bool) -> None:
    """Write a page for each finished run, and print what came out."""
    from convatlas.report.model_card import write_card
    from convatlas.report.run_report import write_report

    for run in result.runs:
        if run.test is not None:
            write_card(run.folder)
    reports = [write_report(run.folder) for run in result.runs if run.test is not None]
    if as_json:
        shown = result.to_dict() if len(result.seeds) > 1 else result.runs[0].to_dict()
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    elif result.complete:
        _print(result, reports[0], root)


def _print(result: "SeedsResult", report: Path, root: Path | None) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    run = result.runs[0]
    console.print(
        f"[bold]{run.architecture}[/bold] on {run.source}, recipe {run.recipe_name}, "
        f"{run.epochs} epoch{'s' if run.epochs > 1 else ''}"
    )
    for one in result.runs:
        _print_accuracy(console, one)
    if len(result.runs) > 1:
        spread = result.to_dict()[f"test_{result.metric}"]
        low, high = spread["interval"]
        console.print(
            f"  mean of {len(result.runs)} seeds {spread['mean']:.2%} on the test images, "
            f"standard deviation {spread['std']:.2%}, 95 % interval of the mean {low:.2%} to "
            f"{min(high, 1.0):.2%}"
        )
    console.print(f"  run folder  {run.folder}", markup=False)
    console.print(f"  report      {report}", markup=False)
    where = [] if root is None else ["--root", str(root)]
    folder = str(run.folder)
    console.print()
    console.print("Next:")
    use = (["predict", folder, "IMAGE"], ["visualize", "gradcam", folder, "IMAGE"])
    if result.metric == "mean_iou":
        use = (["segment", folder, "IMAGE"],)
    for words in (["evaluate", folder, "--data", run.source, *where], *use):
        console.print(f"  convatlas {shlex.join(words)}", markup=False)


def _print_accuracy(console: "Console", run: "RunResult") -> None:
    test = run.test or {}
    if "mean_iou" in test:
        console.print(
            f"  seed {run.seed}: mean intersection over union {test['mean_iou']:.2%} on "
            f"{test['count']:,} test images, pixel error {test['pixel_error']:.2%}, validation "
            f"{1 - (run.val_accuracy or 0):.2%}"
        )
        return
    console.print(
        f"  seed {run.seed}: test {test['top1_accuracy']:.2%} of {test['count']:,} images, "
        f"top-5 {test['top5_accuracy']:.2%}, validation {run.val_accuracy:.2%}"
    )
