"""Build every network on the meta device, then analyze every one, in one process.

Run: python benchmarks/catalog.py

The targets: at most 0.5 s to build a network; at most 30 s and 1 GB of memory for all of both. The
times are those of the processor. The result is a file in benchmarks/results/; the exit code is 1
where a target is missed.
"""

import resource
import time
from collections.abc import Callable
from typing import Any

from record import write_record

from convatlas.analysis.report import analyze
from convatlas.catalog import build_meta, variants

MOST_SECONDS, MOST_SECONDS_IN_ALL, MOST_BYTES = 0.5, 30.0, 10**9


def main() -> None:
    rows: list[dict[str, Any]] = []
    for name in variants():
        built, analyzed = timed(build_meta, name), timed(analyze, name)
        rows.append({"network": name, "build_seconds": built, "analyze_seconds": analyzed})
    worst = max(rows, key=lambda row: row["build_seconds"])
    in_all = sum(row["build_seconds"] + row["analyze_seconds"] for row in rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    reached = (
        worst["build_seconds"] <= MOST_SECONDS
        and in_all <= MOST_SECONDS_IN_ALL
        and peak <= MOST_BYTES
    )
    print(f"slowest to build: {worst['network']}, {worst['build_seconds']:.2f} s")
    print(f"all {len(rows)} built and analyzed: {in_all:.1f} s, {peak / 1e6:,.0f} MB")
    print(write_record("catalog", rows, seconds_in_all=in_all, peak_bytes=peak, reached=reached))
    raise SystemExit(0 if reached else 1)


def timed(call: Callable[[str], Any], name: str) -> float:
    begun = time.process_time()
    call(name)
    return time.process_time() - begun


if __name__ == "__main__":
    main()
