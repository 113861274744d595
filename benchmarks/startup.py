"""Start Python, convatlas and its peers, and tell how long until they are ready or done.

Run: python benchmarks/startup.py [--runs 5] [--peers PYTHON]

Seconds of the wall clock, the least of the runs, which take turns; what is read from the disk is
in the system's cache after the first. A verb that is "cold" finds an empty CONVATLAS_CACHE, as at
its very first use: it imports torch and counts. PYTHON is that of the environment of peers.py: the
imports of torchvision and timm are told as times of that of convatlas. The targets: the import
under 0.05 s more than Python alone, `--help` and `list` under 0.2 s, `show` of any network under
1.5 s, cold under 0.5 s more than the import of torch. The result is a file in benchmarks/results/.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from record import write_record

LARGE = ("densenet264", "resnet1202_cifar", "efficientnet_b7")
VERBS = {
    "--help": ["--help"],
    "list": ["list"],
    "show resnet50": ["show", "resnet50"],
    **{f"show {name}": ["show", name] for name in LARGE},
    "claims resnet": ["claims", "resnet50"],
    "compare": ["compare", "resnet50", "vgg16", "densenet121"],
}
COLD = ("list", "show resnet50", *(f"show {name}" for name in LARGE))
PEERS = ("torchvision", "timm")
SHIM = "import peers; peers.torchvision_models(); import timm"

MOST_SECONDS = {"--help": 0.2, "list": 0.2} | {
    name: 1.5 for name in VERBS if name.startswith("show")
}
MOST_IMPORT, MOST_COLD_SHOW = 0.05, 0.5  # above Python alone; above the import of torch


def run(command: list[str], cold: bool = False) -> float:
    """Give the seconds that a process takes."""
    with tempfile.TemporaryDirectory() as folder:
        changed = {"CONVATLAS_CACHE": folder} if cold else {}
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=os.environ | changed)
        return time.perf_counter() - begun


def starts(peers: str | None) -> dict[str, Callable[[], float]]:
    """Name what is started."""
    python = sys.executable
    found: dict[str, Callable[[], float]] = {
        "python": partial(run, [python, "-c", ""]),
        "import convatlas": partial(run, [python, "-c", "import convatlas"]),
        "import torch": partial(run, [python, "-c", "import torch"]),
    }
    for name, words in VERBS.items():
        found[name] = partial(run, [python, "-m", "convatlas", *words])
    for name in COLD:
        found[f"{name}, cold"] = partial(run, [python, "-m", "convatlas", *VERBS[name]], cold=True)
    if peers is not None:
        here = str(Path(__file__).resolve().parent)
        code = f"import sys; sys.path.insert(0, {here!r}); "
        found["import torchvision"] = partial(
            run, [peers, "-c", f"{code}import peers; peers.torchvision_models()"]
        )
        found["import timm"] = partial(run, [peers, "-c", code + SHIM])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peers", help="the Python of the peers' environment")
    args = parser.parse_args()
    sides = starts(args.peers)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1, args.runs):  # the first round warms up
        for name, start in sides.items():
            if number >= 0 or not name.endswith(", cold"):
                taken = start()
                if number >= 0:
                    seconds[name].append(taken)
    least = {name: min(times) for name, times in seconds.items()}
    rows = []
    for name, times in seconds.items():
        ratio = least[name] / least["import convatlas"] if name.startswith("import") else None
        told = "" if ratio is None else f"  {ratio:6.1f} times import convatlas"
        print(f"{name:28} {min(times):6.3f} s{told}")
        spread = {"least": min(times), "greatest": max(times)}
        rows.append({"start": name, "seconds": spread, "ratio_to_import_convatlas": ratio})
    missed = missing(least)
    print(write_record("startup", rows, runs=args.runs, missed=missed))
    if missed:
        raise SystemExit(f"above their targets: {', '.join(missed)}")


def missing(least: dict[str, float]) -> list[str]:
    """Name what takes longer than it should."""
    most = dict(MOST_SECONDS) | {"import convatlas": least["python"] + MOST_IMPORT}
    for name in COLD:
        if name.startswith("show"):
            most[f"{name}, cold"] = least["import torch"] + MOST_COLD_SHOW
    return [name for name, limit in most.items() if least[name] > limit]


if __name__ == "__main__":
    main()
