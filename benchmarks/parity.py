"""Export each network to each format and compare the reloaded file with the network.

Run: python benchmarks/parity.py [--formats onnx openvino torch] [--any-size] [NETWORK ...]
     python benchmarks/parity.py --table    # docs/export.md, from the newest results

Needs the extras onnx and openvino. Weights are fresh, norms have the statistics of random images.
The result is a file in benchmarks/results/; of several, later ones count. Without names, networks
that have a result already are passed over.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from record import RESULTS, put_table, with_rows_of_today, write_record

from convatlas.analysis.report import analyze_name
from convatlas.catalog import input_shape_of, variants
from convatlas.engines.worker import fresh
from convatlas.errors import UserError
from convatlas.export.formats import FORMATS
from convatlas.export.writing import export_network

PAGE = Path(__file__).resolve().parent.parent / "docs" / "export.md"
BEGIN = "<!-- table: benchmarks/parity.py --table -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--any-size", action="store_true", help="let height and width vary too")
    parser.add_argument("--minutes", type=float, default=600.0, help="begin no network after that")
    parser.add_argument("--table", action="store_true", help="renew the table of docs/export.md")
    args = parser.parse_args()
    if args.table:
        write_table()
        return
    end = time.monotonic() + 60 * args.minutes
    rows: list[dict[str, Any]] = []
    # the quick ones first, so that few are left where the time is short
    done = {row["network"] for row in all_rows()}
    left = sorted((name for name in variants() if name not in done), key=_size)
    for name in args.networks or left:
        if time.monotonic() < end:
            rows += parity(name, args.formats, args.any_size)
            keep(rows, args.any_size)
    failed = [f"{row['network']} {row['format']}" for row in rows if row["refused"]]
    print(f"{len(rows) - len(failed)} of {len(rows)} agree; not: {', '.join(failed) or 'none'}")


def keep(rows: list[dict[str, Any]], any_size: bool) -> None:
    """Write what was measured so far, with former rows of this day."""
    done = {row["network"] for row in [*all_rows(), *rows]}
    left = [name for name in variants() if name not in done]
    rows = with_rows_of_today("parity", rows, lambda row: (row["network"], row["format"]))
    write_record("parity", rows, any_size=any_size, not_reached=left)


def all_rows() -> list[dict[str, Any]]:
    """Give the rows of all results, the latest last."""
    files = sorted(RESULTS.glob("*-parity.json"))
    return [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]


def _size(name: str) -> int:
    """Give what tracing and running a network costs, roughly: its layers and its operations."""
    report = analyze_name(name)
    return report.macs + 50_000_000 * len(report.layers)


def parity(name: str, formats: list[str], any_size: bool) -> list[dict[str, Any]]:
    """Write a network in several formats."""
    shape = input_shape_of(name)
    model = fresh(name, shape)
    made = model.created_as
    metadata = {
        "architecture": name,
        "num_classes": made["num_classes"],
        "in_channels": made["in_channels"],
        "overrides": {},
    }
    rows = []
    for kind in formats:
        begun = time.perf_counter()
        row = {"network": name, "format": kind, **written(model, metadata, kind, any_size)}
        row["seconds"] = round(time.perf_counter() - begun, 1)
        rows.append(row)
        print(f"{name:28} {kind:9} {row['relative_error']} {row['refused']}", flush=True)
    return rows


def written(
    model: torch.nn.Module, metadata: dict[str, Any], kind: str, any_size: bool
) -> dict[str, Any]:
    """Write a network once; what went wrong is a line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"net{FORMATS[kind].suffixes[0]}")
        try:
            found = export_network(model, metadata, path, kind, any_size=any_size)
        except UserError as error:
            reason = str(error).replace(f"{path} was not written: ", "")
            return {"refused": reason, "relative_error": None, "input_shape": None, "bytes": None}
    return {
        "refused": "",
        "relative_error": max(check.agreement.relative_error for check in found.checks),
        "input_shape": list(found.input_shape),
        "bytes": found.bytes,
    }


def write_table() -> None:
    """Put what all results say of each network and format into docs/export.md."""
    found: dict[str, dict[str, str]] = {}
    for row in all_rows():
        said = row["refused"] or f"{row['relative_error']:.0e}"
        found.setdefault(row["network"], {})[row["format"]] = said
    head = ["network", *FORMATS]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in filter(found.get, variants()):
        cells = [found[name].get(kind, "") for kind in FORMATS]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    errors = [float(said) for row in found.values() for said in row.values() if said[0].isdigit()]
    lines.append(f"\nThe largest is {max(errors):.0e}.")
    left = len(variants()) - len(found)
    if left:
        lines.append(f"\n{left} networks have not been measured yet.")
    put_table(PAGE, BEGIN, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
