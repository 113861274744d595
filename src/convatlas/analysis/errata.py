"""The printed values that do not hold, as a page: read from the ledger, where each has a reason."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convatlas import catalog
from convatlas.analysis.ledger import Claim, read_ledger

_HEAD = """\
# Errata

Values that papers and lectures print about these networks and that do not hold, from the ledger
(`src/convatlas/claims`). This page is made by `convatlas claims --errata`; where the right value
follows from the network, `convatlas claims` recomputes it.
"""
_OTHERS = {"ilsvrc": "ImageNet Large Scale Visual Recognition Challenge"}  # no paper's files


def errata_page(ledger: str | Path | None = None) -> str:
    """Write the page in Markdown: a table for each file of the ledger.

    Raises:
        FileError: The ledger can't be read.
        InputError: It has an entry that is no claim.
    """
    files: dict[str, list[Claim]] = {}
    for claim in read_ledger(ledger):
        if claim.agrees is False:
            files.setdefault(claim.file, []).append(claim)
    titles = {a.name: f"{a.paper.title} ({a.paper.year})" for a in catalog.ARCHITECTURES} | _OTHERS
    order = [*titles, *sorted(files)]
    parts = [_HEAD]
    for file in sorted(files, key=order.index):
        rows = "\n".join(_row(claim) for claim in files[file])
        parts.append(
            f"## {titles.get(file, file)}\n\n"
            f"| what | printed | right | why | printed in |\n|---|---|---|---|---|\n{rows}\n"
        )
    return "\n".join(parts)


def _row(claim: Claim) -> str:
    show = str if claim.quantity == "year" else show_value  # 2010, not 2,010
    right = "" if claim.reference_value is None else show(claim.reference_value)
    cells = (what_text(claim), show(claim.value), right, _why(claim), claim.source)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _why(claim: Claim) -> str:
    return claim.note or claim.reference


def what_text(claim: Claim) -> str:
    """Say what is claimed: "alexnet: neurons, layer conv1"."""
    config = ", ".join(f"{key} {show_value(value)}" for key, value in claim.config.items())
    words = claim.quantity.replace("_", " ")
    return f"{claim.subject}: {words}" + (f", {config}" if config else "")


def show_value(value: Any) -> str:
    """Write a value of the ledger: 60,965,224; [384, 192, 3, 3]; 0.28."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{int(value):,}" if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {show_value(inner)}" for key, inner in value.items())
    return str(value)
