"""`convatlas evaluate`: how good a trained network is on a split it has not seen."""

import contextlib
import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convatlas.errors import InputError

if TYPE_CHECKING:
    from convatlas.evaluate.evaluation import Evaluation

MATRIX_CLASSES = 20  # above that a confusion matrix fits no terminal


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--data", "source_text", required=True, metavar="SOURCE", help="digits, mnist, folder:PATH, ..."
)
@click.option(
    "--split", type=click.Choice(["test", "val", "train"]), default="test", show_default=True
)
@click.option(
    "--protocol",
    type=click.Choice(["center"]),
    default="center",
    show_default=True,
    help="center: one view of each image, prepared as the network's file says.",
)
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the source's files.")
@click.option("--batch-size", type=click.IntRange(min=1), default=256, show_default=True)
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print all that was measured as JSON.")
def command(
    model: Path,
    source_text: str,
    split: str,
    protocol: str,
    root: Path | None,
    batch_size: int,
    workers: int,
    as_json: bool,
) -> None:
    """Measure a trained network: top-1 and top-5 accuracy, each class, confusion matrix.

    MODEL is a run folder or a .safetensors file.

    Example: convatlas evaluate runs/demo --data digits
    """
    from convatlas.data.sources import open_source
    from convatlas.evaluate.evaluation import evaluate
    from convatlas.serve.predictor import Predictor
    from convatlas.weights.store import load

    network, metadata = load(model)
    predictor = Predictor(network, metadata)
    source = open_source(source_text, root=root)
    _check_classes(predictor.classes, source.card.classes, model, source_text)
    with _progress(f"{predictor.name} on {source_text}") as progress:
        result = evaluate(
            network,
            getattr(source, split),
            predictor.preprocessing,
            predictor.classes,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
    asked = {
        "model": str(model),
        "architecture": predictor.name,
        "source": source_text,
        "split": split,
        "protocol": protocol,
    }
    if as_json:
        click.echo(json.dumps(asked | result.to_dict(), indent=2, ensure_ascii=False))
    else:
        _print(asked, result)


def _check_classes(
    trained: tuple[str, ...], given: tuple[str, ...], model: Path, source: str
) -> None:
    if trained == tuple(given):
        return
    if len(trained) != len(given):
        raise InputError(
            f"{model} knows {len(trained)} classes and {source} has {len(given)}: "
            "it was trained on other data"
        )
    i = next(i for i, (a, b) in enumerate(zip(trained, given, strict=True)) if a != b)
    raise InputError(
        f"the classes of {model} and {source} differ: class {i} is {trained[i]!r} in the network "
        f"and {given[i]!r} in the data"
    )


@contextlib.contextmanager
def _progress(title: str) -> Generator[Callable[[int, int], None]]:
    """Show batches on standard error: a bar on a terminal, a line every five seconds elsewhere."""
    import time

    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    console = Console(stderr=True)
    if console.is_terminal:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task(escape(title))
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    shown = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal shown
        if time.monotonic() - shown >= 5:
            shown = time.monotonic()
            click.echo(f"{title}: batch {done} of {total}", err=True)

    yield line


def _print(asked: dict[str, Any], result: "Evaluation") -> None:
    from rich.console import Console
    from rich.markup import escape

    from convatlas.cli.tables import print_table
    from convatlas.evaluate.metrics import wilson_interval

    console = Console(highlight=False, soft_wrap=True)
    right = round(result.top1_accuracy * result.count)
    low, high = (f"{100 * end:.1f}" for end in wilson_interval(right, result.count))
    console.print(
        f"[bold]{asked['architecture']}[/bold] on the {asked['split']} split of "
        f"{escape(asked['source'])}, {result.count:,} images"
    )
    console.print(
        f"  top-1 accuracy  {result.top1_accuracy:8.2%}  (95 % interval {low} to {high} %)"
    )
    console.print(f"  top-5 accuracy  {result.top5_accuracy:8.2%}")
    console.print(f"  loss            {result.loss:8.4f}")
    console.print()
    head = ("class", "images", "accuracy", "most often taken for")
    print_table(head, _class_rows(result), right=("images", "accuracy"))
    if len(result.classes) <= MATRIX_CLASSES:
        console.print("\nconfusion matrix: rows are true, columns predicted")
        _print_matrix(result)


def _class_rows(result: "Evaluation") -> list[tuple[str, ...]]:
    rows = []
    for i, (name, accuracy) in enumerate(result.per_class.items()):
        shown = "-" if accuracy is None else f"{accuracy:.1%}"
        rows.append((name, f"{sum(result.confusion[i]):,}", shown, _mistaken(result, i)))
    return rows


def _mistaken(result: "Evaluation", label: int) -> str:
    """Name the class that takes most images of `label`, and how many."""
    wrong = [(n, -i) for i, n in enumerate(result.confusion[label]) if n and i != label]
    if not wrong:
        return ""
    count, place = max(wrong)
    return f"{result.classes[-place]} ({count})"


def _print_matrix(result: "Evaluation") -> None:
    from rich.text import Text

    from convatlas.cli.tables import print_table

    # long names would not fit above narrow columns: numbers stand for them
    short = max(map(len, result.classes)) <= 4
    head = result.classes if short else [str(i) for i in range(len(result.classes))]
    rows = []
    for i, (name, row) in enumerate(zip(result.classes, result.confusion, strict=True)):
        cells = [
            Text(str(n) if n or i == j else ".", "bold" if i == j else "" if n else "dim")
            for j, n in enumerate(row)
        ]
        rows.append((name if short else f"{i} {name}", *cells))
    print_table(("", *head), rows, right=head)
