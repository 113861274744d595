"""What `convatlas evaluate` prints and writes: figures, classes, members and their mistakes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from convatlas.evaluate.evaluation import Evaluation, GroupEvaluation

MATRIX_CLASSES = 20  # above that a confusion matrix fits no terminal
TABLE_CLASSES = 100  # above that the classes with the lowest accuracy stand for all
PAIRED = 8  # members of an ensemble above which pairs are too many to read


def print_group(
    names: Sequence[str], models: Sequence[str], asked: dict[str, Any], found: "GroupEvaluation"
) -> None:
    """Print an evaluation: of one network, or of several together and alone.

    Args:
        names: Of the networks.
        models: As the user wrote them.
        asked: The source, the split and the protocol.
        found: What was measured.
    """
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    who = names[0] if len(names) == 1 else f"{len(names)} networks together"
    shown = "" if asked["protocol"] == "center" else f", protocol {asked['protocol']}"
    console.print(
        f"[bold]{who}[/bold] on the {asked['split']} split of {escape(asked['source'])}, "
        f"{found.together.count:,} images{shown}"
    )
    _print_figures(console, found.together)
    if len(names) > 1:
        _print_members(console, names, models, found)
    console.print()
    _print_classes(console, found.together)


def write_predictions(path: Path, found: "Evaluation") -> None:
    """Write a line for each image: its name, its class, and the best five with probabilities."""
    import csv

    places = range(1, min(5, len(found.classes)) + 1)
    best = [f"{what}{place}" for place in places for what in ("top", "probability")]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "label", "right", *best])
        for prediction in found.predictions:
            pairs = zip(prediction.top, prediction.top_probabilities, strict=True)
            guesses = [cell for i, p in pairs for cell in (found.classes[i], f"{p:.6g}")]
            own = found.classes[prediction.label]
            rows.writerow([prediction.name, own, int(prediction.rank == 0), *guesses])


def _print_figures(console: "Console", found: "Evaluation") -> None:
    for name, value, interval in (
        ("top-1", found.top1_accuracy, found.top1_interval),
        ("top-5", found.top5_accuracy, found.top5_interval),
    ):
        low, high = (f"{100 * end:.1f}" for end in interval)
        console.print(f"  {name} accuracy    {value:8.2%}  (95 % interval {low} to {high} %)")
    console.print(f"  mean of classes   {found.balanced_accuracy:8.2%}  F1 {found.macro_f1:.4f}")
    console.print(f"  loss              {found.loss:8.4f}  Brier score {found.brier:.4f}")
    sure = sum(p.probability for p in found.predictions) / found.count
    error = found.calibration.error
    console.print(f"  calibration error {error:8.2%}  (mean confidence {sure:.1%})")


def _print_members(
    console: "Console", names: Sequence[str], models: Sequence[str], found: "GroupEvaluation"
) -> None:
    from convatlas.cli.tables import print_table

    console.print()
    head = ("", "network", "top-1", "top-5", "loss", "calibration", "weights")
    rows = [
        (
            str(i),
            name,
            f"{member.top1_accuracy:.2%}",
            f"{member.top5_accuracy:.2%}",
            f"{member.loss:.4f}",
            f"{member.calibration.error:.2%}",
            model,
        )
        for i, (name, model, member) in enumerate(
            zip(names, models, found.members, strict=True), start=1
        )
    ]
    print_table(head, rows, right=head[2:6])
    spread = found.spread
    if spread.interval is not None and len(set(names)) == 1:  # runs that differ in their seed
        low, high = (f"{100 * end:.2f}" for end in spread.interval)
        console.print(
            f"alone: mean top-1 {spread.mean:.2%}, standard deviation {spread.deviation:.2%} "
            f"(95 % interval of the mean {low} to {high} %)"
        )
    if len(names) <= PAIRED:
        console.print("\npairs: correlation of their mistakes, p of McNemar's test")
        _print_pairs(found)


def _print_pairs(found: "GroupEvaluation") -> None:
    from convatlas.cli.tables import print_table

    head = ("pair", "only first", "only second", "same answer", "correlation", "p")
    rows = []
    for (i, j), pair in found.comparisons.items():
        correlation = "-" if pair.correlation is None else f"{pair.correlation:.3f}"
        rows.append(
            (
                f"{i + 1}, {j + 1}",
                f"{pair.only_first:,}",
                f"{pair.only_second:,}",
                f"{pair.agreement:.1%}",
                correlation,
                f"{pair.p_value:.3g}",
            )
        )
    print_table(head, rows, right=head[1:])


def _print_classes(console: "Console", found: "Evaluation") -> None:
    from convatlas.cli.tables import print_table

    head = ("class", "images", "accuracy", "precision", "F1", "most often taken for")
    rows = _class_rows(found)
    if len(rows) > TABLE_CLASSES:
        console.print(f"of {len(rows)} classes the {TABLE_CLASSES} with the lowest accuracy:")
    print_table(head, rows[:TABLE_CLASSES], right=head[1:5])
    if len(found.classes) <= MATRIX_CLASSES:
        console.print("\nconfusion matrix: rows are true, columns predicted")
        _print_matrix(found)


def _class_rows(found: "Evaluation") -> list[tuple[str, ...]]:
    """Give the classes in their order, or those with images and the worst first."""
    classes = list(enumerate(found.class_scores.items()))
    if len(classes) > TABLE_CLASSES:
        classes = [entry for entry in classes if entry[1][1].recall is not None]
    if len(classes) > TABLE_CLASSES:
        classes.sort(key=lambda entry: entry[1][1].recall or 0.0)
    rows = []
    for i, (name, scores) in classes:
        parts = (scores.recall, scores.precision, scores.f1)
        shown = ("-" if part is None else f"{part:.1%}" for part in parts)
        rows.append((name, f"{scores.count:,}", *shown, _mistaken(found, i)))
    return rows


def _mistaken(found: "Evaluation", label: int) -> str:
    """Name the class that takes most images of `label`, and how many."""
    wrong = [(n, -i) for i, n in enumerate(found.confusion[label]) if n and i != label]
    if not wrong:
        return ""
    count, place = max(wrong)
    return f"{found.classes[-place]} ({count})"


def _print_matrix(found: "Evaluation") -> None:
    from rich.text import Text

    from convatlas.cli.tables import print_table

    # long names would not fit above narrow columns: numbers stand for them
    short = max(map(len, found.classes)) <= 4
    head = found.classes if short else [str(i) for i in range(len(found.classes))]
    rows = []
    for i, (name, row) in enumerate(zip(found.classes, found.confusion, strict=True)):
        cells = [
            Text(str(n) if n or i == j else ".", "bold" if i == j else "" if n else "dim")
            for j, n in enumerate(row)
        ]
        rows.append((name if short else f"{i} {name}", *cells))
    print_table(("", *head), rows, right=head)
