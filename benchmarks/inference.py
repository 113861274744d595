"""Run networks by `convatlas.optimize` and by its peers in turn, against the peak of the machine.

Run: python benchmarks/inference.py [--batch 1 16] [--rounds 3] [--processes 1] [NETWORK ...]
     python benchmarks/inference.py --table    # docs/speed.md and README.md, from the newest result

It needs the environment of peers.py with the extras `onnx` and `openvino`. Each way of running a
network has a process of its own; they take turns, every other round backwards. "auto" chooses
among its engines in its own process first. The same code in another process can be a third slower
or faster for as long as it lives, where a batch takes milliseconds: `--processes 3` prepares each
way anew so often, and its medians are over all of them. The peak is that of a product of matrices
in the same type, on as many threads, before the turns of each network. The result is a file in
benchmarks/results/; what was measured earlier on the same day stays in it.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from record import with_rows_of_today, write_record
from sides import prepare, sides_of
from speed_tables import write_tables

from convatlas.analysis.report import analyze_name
from convatlas.engines.turns import Found, in_turn

NETWORKS = (
    *("alexnet", "vgg16", "googlenet", "inception_v3", "resnet18", "resnet50_v1_5"),
    *("resnext50_32x4d", "densenet121", "squeezenet1_1", "mobilenet_v1", "efficientnet_b0", "unet"),
)
BLOCK_SECONDS = 0.3
SIDE = 2048  # of the matrices whose product tells the peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", default=NETWORKS)
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1, help="one after the other, of each way")
    parser.add_argument("--table", action="store_true", help="renew the tables of the docs")
    args = parser.parse_args()
    if args.table:
        write_tables()
        return
    for network in args.networks:
        for batch in args.batch:
            if network == "unet" and batch > 1:
                continue  # a minute a batch, and more memory than most have
            new = measured(network, batch, args.rounds, args.processes)
            rows = with_rows_of_today("inference", new, _key)
            path = write_record("inference", rows, rounds=args.rounds)
    print(path)


def _key(row: dict[str, Any]) -> tuple[str, int]:
    return row["network"], row["batch"]


def measured(network: str, batch: int, rounds: int, processes: int) -> list[dict[str, Any]]:
    """Let all sides of one network and batch take their turns."""
    peaks = {"float32": gemm_gflops(torch.float32), "bfloat16": gemm_gflops(torch.bfloat16)}
    sides = sides_of(network, batch)
    tasks = [partial(prepare, side, network, batch) for side in sides]
    several = [in_turn(tasks, rounds, BLOCK_SECONDS) for _ in range(processes)]
    found = [pooled(of_one_side) for of_one_side in zip(*several, strict=True)]
    operations = 2 * analyze_name(network).macs  # of an image
    rows = []
    for side, one in zip(sides, found, strict=True):
        row: dict[str, Any] = {"network": network, "batch": batch, "side": side, **one.facts}
        row["processes"] = processes
        row["refused"], row["peak_bytes"] = one.refused, one.peak_bytes
        if not one.refused:
            speeds = sorted(batch / ms * 1000 for ms in one.milliseconds)
            row["images_per_second"] = {
                "median": statistics.median(speeds),
                "least": speeds[0],
                "greatest": speeds[-1],
            }
            row["gflops"] = operations * row["images_per_second"]["median"] / 1e9
        row["gemm_gflops"] = peaks
        rows.append(row)
        _show(row)
    return rows


def pooled(several: Sequence[Found]) -> Found:
    """Put what several processes did into one; what the last one tells of itself stays."""
    last = several[-1]
    milliseconds = [ms for one in several for ms in one.milliseconds]
    refused = next((one.refused for one in several if one.refused), "")
    peak = max(one.peak_bytes for one in several)
    return replace(last, milliseconds=milliseconds, refused=refused, peak_bytes=peak)


def _show(row: dict[str, Any]) -> None:
    head = f"{row['network']:18} {row['batch']:3} {row['side']:25}"
    if row["refused"]:
        print(head, row["refused"], flush=True)
        return
    speed = row["images_per_second"]
    spread = f"({speed['least']:.1f} to {speed['greatest']:.1f})"
    print(head, f"{speed['median']:9.1f} img/s {spread:22} {row.get('engine', '')}", flush=True)


def gemm_gflops(dtype: torch.dtype, seconds: float = 1.0) -> float:
    """Measure a product of matrices by oneDNN, on as many threads as torch has."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")  # oneDNN, which knows more machines than MKL
    one = torch.randn(SIDE, SIDE).to(dtype)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begun = time.perf_counter()
        torch.mm(one, one)
        best = min(best, time.perf_counter() - begun)
    torch.set_float32_matmul_precision(before)
    return 2 * SIDE**3 / best / 1e9


if __name__ == "__main__":
    main()
