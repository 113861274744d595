"""Train to the figures that the README gives: mean and spread over seeds.

Run: python benchmarks/accuracy.py [--seeds 3] [--root FOLDER] [--out runs/accuracy]

It trains LeNet-5, the paper's and the modern form, and compares with the targets: at most
0.95 % of the test images wrong, as section III-B of LeCun et al. 1998 prints, and at most 0.8 %.
A killed run goes on where it was. The result is a file in benchmarks/results/.
"""

import argparse
from pathlib import Path
from typing import Any

from record import write_record

from convatlas.report.runs import read_progress
from convatlas.train.events import EpochDone, Event
from convatlas.train.seeds import start_runs

# network, recipe, greatest test error
MNIST = (("lenet5", "mnist", 0.0095), ("lenet5_modern", "mnist_modern", 0.008))


def measure(network: str, recipe: str, target: float, args: argparse.Namespace) -> dict[str, Any]:
    """Train `network` once for each seed and set the mean test error against `target`."""

    def show(event: Event) -> None:
        if isinstance(event, EpochDone):
            record = event.record
            print(
                f"{network} epoch {record['epoch']}/{event.epochs} "
                f"validation {record['val_accuracy']:.2%}",
                flush=True,
            )

    result = start_runs(
        network,
        "mnist",
        out=args.out / network,
        seeds=range(args.seeds),
        recipe_name=recipe,
        root=args.root,
        resume=True,
        progress=show,
    ).to_dict()
    spread = result["test_top1_accuracy"]
    return {
        "network": network,
        "recipe": recipe,
        "seeds": args.seeds,
        "test_error": {
            "mean": 1 - spread["mean"],
            "std": spread["std"],
            "each": [1 - run["test"]["top1_accuracy"] for run in result["runs"]],
        },
        "target": target,
        "reached": 1 - spread["mean"] <= target,
        "training_seconds": [training_seconds(Path(run["folder"])) for run in result["runs"]],
    }


def training_seconds(folder: Path) -> float:
    """Give the time of all epochs of a run, in whichever process they ran."""
    return round(sum(epoch["seconds"] for epoch in read_progress(folder).epochs), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--root", type=Path, help="Folder of the four files; else downloaded.")
    parser.add_argument("--out", type=Path, default=Path("runs/accuracy"))
    args = parser.parse_args()
    rows = [measure(*case, args) for case in MNIST]
    for row in rows:
        error = row["test_error"]
        print(
            f"{row['network']}: test error {error['mean']:.2%} (standard deviation "
            f"{error['std']:.2%}, {row['seeds']} seeds), target {row['target']:.2%}: "
            f"{'reached' if row['reached'] else 'missed'}"
        )
    print(write_record("accuracy-mnist", rows))


if __name__ == "__main__":
    main()
