"""Build each network that torchvision has too, here and there, with fresh weights.

Run: python benchmarks/construction.py [--runs 7] [NETWORK ...]

Needs the environment of peers.py. Both take turns, on one thread; the times are those of the
processor, medians with the least and the greatest. The target is that ours is not slower. The
result is a file in benchmarks/results/.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from peers import torchvision_network
from record import write_record
from torch import nn

from convatlas.catalog import build
from convatlas.weights.sources import SOURCES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    theirs = {ours: key_map.theirs for ours, key_map in SOURCES["torchvision"].networks.items()}
    rows = [compare(name, theirs[name], args.runs) for name in args.networks or theirs]
    slower = [row["network"] for row in rows if row["ratio"] > 1]
    print(f"{len(rows) - len(slower)} of {len(rows)} not slower; slower: {', '.join(slower)}")
    if not args.networks:
        print(write_record("construction", rows, runs=args.runs, seconds="of the processor"))


def compare(ours: str, theirs: str, runs: int) -> dict[str, Any]:
    """Time both constructions in turn."""
    seconds: dict[str, list[float]] = {"ours": [], "torchvision": []}
    for _ in range(runs):
        seconds["ours"].append(timed(lambda: build(ours)))
        seconds["torchvision"].append(timed(lambda: torchvision_network(theirs)))
    row: dict[str, Any] = {"network": ours, "torchvision": theirs}
    for who, times in seconds.items():
        row[f"{who}_seconds"] = {
            "median": statistics.median(times),
            "least": min(times),
            "greatest": max(times),
        }
    row["ratio"] = row["ours_seconds"]["median"] / row["torchvision_seconds"]["median"]
    medians = [f"{statistics.median(times):.3f} s" for times in seconds.values()]
    print(f"{ours:22} {medians[0]:>9} {medians[1]:>9}  ratio {row['ratio']:.2f}", flush=True)
    return row


def timed(make: Callable[[], nn.Module]) -> float:
    gc.collect()
    begun = time.process_time()
    model = make()
    seconds = time.process_time() - begun
    del model
    return seconds


if __name__ == "__main__":
    main()
