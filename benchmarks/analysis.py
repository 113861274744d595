"""Count the multiply-adds of networks, beside fvcore, torchinfo, thop and ptflops.

Run: python benchmarks/analysis.py [--rounds 5] [NETWORK ...]

It needs, in the environment of peers.py:

    pip install --no-deps torchinfo thop ptflops fvcore iopath yacs termcolor tabulate portalocker

Each tool is given the same network, built before, and does what its documentation says: on the
processor, where it computes the network, and on the meta device, where it does not, if it can.
convatlas also derives shapes, receptive fields and memory, on the meta device alone. The times are
those of the processor, medians of rounds that are interleaved, there and back. The counts are
compared with those of torch's counter of operations: half of its count, less what it does not have.
"""

import argparse
import contextlib
import importlib
import io
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from record import write_record
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convatlas.analysis.report import analyze
from convatlas.catalog import build, build_meta, input_shape_of

NETWORKS = ("resnet152", "densenet201", "efficientnet_b7")
TARGET = 1.0  # times the quickest peer


def convatlas(model: nn.Module, x: torch.Tensor) -> int:
    return analyze(model, tuple(x.shape[1:])).macs


def torchinfo(model: nn.Module, x: torch.Tensor) -> int:
    library = importlib.import_module("torchinfo")
    found = library.summary(
        model, input_data=x, verbose=0, device=x.device, cache_forward_pass=False
    )
    return int(found.total_mult_adds)


def thop(model: nn.Module, x: torch.Tensor) -> int:
    return int(importlib.import_module("thop").profile(model, inputs=(x,), verbose=False)[0])


def ptflops(model: nn.Module, x: torch.Tensor) -> int:
    library = importlib.import_module("ptflops")
    macs, _ = library.get_model_complexity_info(
        model,
        tuple(x.shape[1:]),
        input_constructor=lambda _: x,
        as_strings=False,
        print_per_layer_stat=False,
        verbose=False,
    )
    if macs is None:
        raise RuntimeError("it gave no count")
    return int(macs)


def fvcore(model: nn.Module, x: torch.Tensor) -> int:
    found = importlib.import_module("fvcore.nn").FlopCountAnalysis(model, x)
    return int(found.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())


TOOLS: dict[str, Callable[[nn.Module, torch.Tensor], int]] = {
    "convatlas": convatlas,
    "torchinfo": torchinfo,
    "thop": thop,
    "ptflops": ptflops,
    "fvcore": fvcore,
}


def timed(tool: str, model: nn.Module, x: torch.Tensor) -> tuple[float, int]:
    """Give the processor's seconds, and the count."""
    begun = time.process_time()
    silent = contextlib.redirect_stdout(io.StringIO())
    with silent, warnings.catch_warnings(action="ignore"), torch.no_grad():
        macs = TOOLS[tool](model, x)
    return time.process_time() - begun, macs


def race(name: str, device: str, rounds: int) -> list[dict[str, Any]]:
    """Let the tools take turns with a network."""
    model = (build_meta(name) if device == "meta" else build(name)).eval()
    x = torch.zeros(1, *input_shape_of(name), device=device)
    seconds: dict[str, list[float]] = {}
    counts: dict[str, int] = {}
    for tool in TOOLS:
        if tool == "convatlas" and device != "meta":
            continue
        try:
            counts[tool] = timed(tool, model, x)[1]  # warms up
            seconds[tool] = []
        except Exception as error:  # a tool that can't, says so in any way
            print(f"{name} on {device}: {tool} can't: {type(error).__name__}", flush=True)
    for number in range(rounds):
        for tool in sorted(seconds, reverse=bool(number % 2)):
            seconds[tool].append(timed(tool, model, x)[0])
    return [
        {
            "network": name,
            "device": device,
            "tool": tool,
            "macs": counts[tool],
            "seconds": {"median": statistics.median(t), "least": min(t), "greatest": max(t)},
        }
        for tool, t in seconds.items()
    ]


def counted_by_torch(name: str) -> int:
    """Give half of what torch's counter finds."""
    model = build_meta(name).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *input_shape_of(name), device="meta"))
    return counter.get_total_flops() // 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    rows: list[dict[str, Any]] = []
    missed = []
    for name in args.networks:
        found = race(name, "meta", args.rounds) + race(name, "cpu", args.rounds)
        ours = found[0]["seconds"]["median"]
        exact = counted_by_torch(name)
        for row in found:
            row["ratio"] = row["seconds"]["median"] / ours
            row["macs_of_torch"] = exact
            print(
                f"{name:16} {row['device']:5} {row['tool']:10} {row['seconds']['median']:7.3f} s"
                f"  {row['ratio']:6.2f} times convatlas  {row['macs'] / 1e9:8.3f} G"
                f"  {row['macs'] / exact - 1:+.2%}",
                flush=True,
            )
        if min(row["ratio"] for row in found[1:]) < TARGET or found[0]["macs"] != exact:
            missed.append(name)
        rows += found
    print(write_record("analysis", rows, missed=missed))
    if missed:
        raise SystemExit(f"a peer is quicker, or torch counts otherwise: {', '.join(missed)}")


if __name__ == "__main__":
    main()
