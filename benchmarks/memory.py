"""Compare the predicted peak of memory with what the allocator of the processor counts.

Run: python benchmarks/memory.py [NETWORK ...]

Inference and a step of training (SGD with momentum, float32, a batch of 16) of ten networks of
different kinds; the target is a difference of at most 10 %. The result is a file in
benchmarks/results/ and the table in docs/choose.md; the exit code is 1 where a network misses.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import put_table, write_record
from torch import nn

from convatlas import catalog
from convatlas.analysis.report import analyze, size_text

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.append(str(REPOSITORY / "tests" / "analysis"))

from allocator import BATCH, answer, train  # noqa: E402 - it stands beside the tests that use it

NETWORKS = {
    "lenet5": (1, 32, 32),
    "alexnet": (3, 227, 227),
    "nin_cifar10": (3, 32, 32),
    "googlenet": (3, 64, 64),
    "squeezenet1_1": (3, 64, 64),
    "preact_resnet110_cifar": (3, 32, 32),
    "resnext50_32x4d": (3, 64, 64),
    "densenet_bc100_k12_cifar": (3, 32, 32),
    "mobilenet_v1": (3, 64, 64),
    "efficientnet_b0": (3, 64, 64),
}
TARGET = 0.10
PAGE = REPOSITORY / "docs" / "choose.md"
BEGIN, END = "<!-- measured memory: benchmarks/memory.py -->\n", "<!-- end of measured memory -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    args = parser.parse_args()
    rows = [compare(name, NETWORKS[name]) for name in args.networks or NETWORKS]
    missed = [row["network"] for row in rows if not row["reached"]]
    print(f"{len(rows) - len(missed)} of {len(rows)} within {TARGET:.0%}")
    if not args.networks:
        print(write_record("memory", rows, batch=BATCH, target=TARGET))
        put_table(PAGE, BEGIN, table(rows), END)
    raise SystemExit(1 if missed else 0)


def compare(name: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Predict and measure both peaks of one network."""
    report, model = analyze(name, shape), catalog.build(name)
    peaks = {
        "inference": (report.peak_inference_bytes(BATCH), measured(answer, model, shape)),
        "training": (report.peak_training_bytes(BATCH), measured(train, model, shape)),
    }
    row: dict[str, Any] = {"network": name, "input_shape": list(shape)}
    for what, (predicted, counted) in peaks.items():
        row[what] = {
            "predicted_bytes": predicted,
            "measured_bytes": counted,
            "difference": predicted / counted - 1,
        }
        print(f"{name:26} {what:10} {predicted / counted - 1:+.1%}", flush=True)
    row["reached"] = all(abs(row[what]["difference"]) <= TARGET for what in peaks)
    return row


def measured(
    run: Callable[[nn.Module, tuple[int, ...], str], int],
    model: nn.Module,
    shape: tuple[int, ...],
) -> int:
    return run(model, shape, "float32")


def table(rows: list[dict[str, Any]]) -> str:
    head = ["network", "image"]
    for what in ("answering", "training"):
        head += [f"{what}, predicted", "measured", "off by"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        cells = [f"`{row['network']}`", size_text(row["input_shape"])]
        for what in ("inference", "training"):
            peak = row[what]
            sizes = (peak["predicted_bytes"], peak["measured_bytes"])
            cells += [f"{size / 1e6:,.1f} MB" for size in sizes] + [f"{peak['difference']:+.1%}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
