"""Tables of inference speed for docs/speed.md and README.md, from the newest result."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from record import RESULTS, put_table

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- table: benchmarks/inference.py --table -->\n"
RUNTIMES = ("openvino float32", "openvino float32 streams", "onnxruntime")
# column, and the side whose images a second stand there
FLOAT32 = {
    "OpenVINO": "openvino float32",
    "OpenVINO, streams": "openvino float32 streams",
    "ONNX Runtime": "onnxruntime",
    "torch": "torch channels_last",
    "torchvision": "torchvision",
    "timm": "timm",
}

Cell = dict[str, dict[str, Any]]  # what was measured of one network and batch, by side


def write_tables() -> None:
    """Renew both pages."""
    file = sorted(RESULTS.glob("*-inference.json"))[-1]
    record = json.loads(file.read_text(encoding="utf-8"))
    cells: dict[tuple[str, int], Cell] = {}
    for row in record["rows"]:
        if not row["refused"]:
            cells.setdefault((row["network"], row["batch"]), {})[row["side"]] = row
    cells = dict(sorted(cells.items()))
    said = f"Measured {record['date']} on {_machine(record)}; `benchmarks/results/{file.name}`."
    lines = [said, "", *_float32(cells), "", *_bfloat16(cells)]
    put_table(ROOT / "docs" / "speed.md", BEGIN, "\n".join(lines) + "\n")
    short = "\n".join([*_short(cells), "", said])
    put_table(ROOT / "README.md", BEGIN, short + "\n")


def _machine(record: dict[str, Any]) -> str:
    machine, versions = record["machine"], record["versions"]
    names = ("torch", "openvino", "onnxruntime", "torchvision", "timm")
    with_versions = ", ".join(f"{name} {versions[name]}" for name in names if name in versions)
    return f"{machine['cores']} cores of {machine['processor']}, {with_versions}"


def _float32(cells: dict[tuple[str, int], Cell]) -> list[str]:
    head = ["network", "batch", "`auto`", "engine", *FLOAT32, "to the best", "to torch", "of peak"]
    every = [row for cell in cells.values() for row in cell.values()]
    peak = max(row["gemm_gflops"]["float32"] for row in every)  # other work only lowers it
    rows = []
    for (network, batch), cell in cells.items():
        ours = cell["auto float32"]
        others = [_shown(cell, side) for side in FLOAT32.values()]
        best, torch = ratio(cell, "auto float32", RUNTIMES), _to(cell, "torch channels_last")
        part = f"{ours['gflops'] / peak:.0%}"
        row = [f"`{network}`", batch, _shown(cell, "auto float32"), ours["engine"], *others]
        rows.append([*row, f"**{best:.2f}**", torch, part])
    return ["**float32**, error up to 1e-4; images a second:", "", *_table(head, rows)]


def _bfloat16(cells: dict[tuple[str, int], Cell]) -> list[str]:
    head = ["network", "batch", "`auto`", "engine", "OpenVINO", "torchvision"]
    head += ["to OpenVINO", "to torchvision"]
    rows = []
    for (network, batch), cell in cells.items():
        if "auto bfloat16" not in cell:
            continue
        ours = max(("auto bfloat16", "auto float32"), key=lambda side: _median(cell, side))
        engine = f"{cell[ours]['engine']} {cell[ours]['precision']}"
        shown = [_shown(cell, side) for side in ("openvino", "torchvision")]
        found = [ratio(cell, ours, [side]) for side in ("openvino", "torchvision")]
        parts = [f"**{one:.2f}**" if one else "" for one in found]
        rows.append([f"`{network}`", batch, _shown(cell, ours), engine, *shown, *parts])
    what = "**bfloat16 or float32**, whichever is quicker; OpenVINO as it comes:"
    return [what, "", *_table(head, rows)]


def _short(cells: dict[tuple[str, int], Cell]) -> list[str]:
    head = ["network", "batch", "images a second", "engine", "to the best runtime"]
    head += ["to torch", "to torchvision"]
    rows = []
    for (network, batch), cell in cells.items():
        best = ratio(cell, "auto float32", RUNTIMES)
        row = [f"`{network}`", batch, _shown(cell, "auto float32"), cell["auto float32"]["engine"]]
        found = [_to(cell, "torch channels_last"), _to(cell, "torchvision")]
        rows.append([*row, f"{best:.2f}", *found])
    return _table(head, rows)


def ratio(cell: Cell, side: str, others: Iterable[str]) -> float:
    """Give images a second as a multiple of the best of some others; 0: none was measured."""
    there = [_median(cell, other) for other in others if other in cell]
    return _median(cell, side) / max(there) if there else 0.0


def _to(cell: Cell, other: str) -> str:
    found = ratio(cell, "auto float32", [other])
    return f"{found:.2f}" if found else ""


def _median(cell: Cell, side: str) -> float:
    return cell[side]["images_per_second"]["median"]


def _shown(cell: Cell, side: str) -> str:
    return f"{_median(cell, side):.3g}" if side in cell else ""


def _table(head: list[str], rows: list[list[Any]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]
