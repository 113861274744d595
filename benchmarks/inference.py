"""Run networks by each engine that is installed, in turn, against the peak of the machine.

Run: python benchmarks/inference.py [--batch 1 16] [--precision float32 bfloat16] [--rounds 7]
     [--engine eager openvino] [--keep-memory] [NETWORK ...]

The engines are the peers: OpenVINO and ONNX Runtime, used as their own documentation says. The
peak is that of a product of matrices in the same type, measured before and after. The result is a
file in benchmarks/results/.
"""

import argparse
import time
from typing import Any

import torch
from record import write_record

from convatlas.analysis.report import analyze_name
from convatlas.engines.bench import Row, bench, plan
from convatlas.engines.eager import dtype_of
from convatlas.engines.roster import find_precision

NETWORKS = (
    *("alexnet", "vgg16", "googlenet", "inception_v3", "resnet18", "resnet50_v1_5"),
    *("resnext50_32x4d", "densenet121", "squeezenet1_1", "mobilenet_v1", "efficientnet_b0", "unet"),
)
SIDE = 2048  # of the matrices whose product tells the peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--engine", nargs="+", default=[])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keep-memory", action="store_true")
    args = parser.parse_args()
    names = args.networks or NETWORKS
    peaks = {precision: [gflops(precision)] for precision in args.precision}
    rows: list[dict[str, Any]] = []
    groups = plan(names, args.engine, args.precision, args.batch, keep_memory=args.keep_memory)
    for jobs in groups:
        if jobs[0].network == "unet" and jobs[0].batch > 1:
            continue  # a minute a batch
        rows += [told(row, peaks) for row in bench(jobs, args.rounds)]
    for precision, found in peaks.items():
        found.append(gflops(precision))
    if not args.networks:
        print(write_record("inference", rows, rounds=args.rounds, gemm_gflops=peaks))


def told(row: Row, peaks: dict[str, list[float]]) -> dict[str, Any]:
    """Add what part of the peak was reached, and show the row."""
    job = row.job
    work = 2 * analyze_name(job.network, job.input_shape).macs * row.images_per_second / 1e9
    part = work / peaks[job.precision][0] if job.precision in peaks else 0.0
    line = f"{job.network:18} {job.batch:3} {job.engine:12} {job.precision:9}"
    shown = f"{row.images_per_second:9.1f} img/s  ratio {row.ratio:5.2f}  peak {part:4.0%}"
    print(line, row.refused or shown, flush=True)
    return {**row.to_dict(), "gflops": work, "part_of_gemm": part}


def gflops(precision: str, seconds: float = 2.0) -> float:
    """Measure a product of matrices by oneDNN, on as many threads as torch has."""
    kind = find_precision(precision)
    if kind == "int8":
        return float("nan")  # torch has no product of int8 that every machine takes
    torch.set_float32_matmul_precision("medium")  # oneDNN, which knows more machines than MKL
    one = torch.randn(SIDE, SIDE).to(dtype_of(kind))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begun = time.perf_counter()
        torch.mm(one, one)
        best = min(best, time.perf_counter() - begun)
    torch.set_float32_matmul_precision("highest")
    return 2 * SIDE**3 / best / 1e9


if __name__ == "__main__":
    main()
