"""Start Python and convatlas, and tell how long until they are ready or done.

Run: python benchmarks/startup.py [--runs 5]

Seconds of the wall clock, the least of the runs, which take turns; what is read from the disk is
in the system's cache after the first. The targets: the import under 0.05 s more than Python alone,
`--help` and `list` under 0.2 s, `show` under 1.5 s. The result is a file in benchmarks/results/.
"""

import argparse
import subprocess
import sys
import time

from record import write_record

STARTS = {
    "python": ["-c", ""],
    "import convatlas": ["-c", "import convatlas"],
    "import torch": ["-c", "import torch"],
    "--help": ["-m", "convatlas", "--help"],
    "list": ["-m", "convatlas", "list"],
    "show resnet50": ["-m", "convatlas", "show", "resnet50"],
    "show densenet264": ["-m", "convatlas", "show", "densenet264"],
    "show efficientnet_b7": ["-m", "convatlas", "show", "efficientnet_b7"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in STARTS}
    for name in STARTS:
        timed(name)
    for _ in range(args.runs):
        for name in STARTS:
            seconds[name].append(timed(name))
    rows = [
        {"start": name, "seconds": {"least": min(times), "greatest": max(times)}}
        for name, times in seconds.items()
    ]
    for name, times in seconds.items():
        print(f"{name:22} {min(times):6.3f} s")
    print(write_record("startup", rows, runs=args.runs))


def timed(name: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *STARTS[name]], check=True, capture_output=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
