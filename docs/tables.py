"""Write the pages and tables that are made from the catalog and the ledger.

Run: make tables    # or with --check: say which of them are out of date, exit 1 if any is
"""

import sys
from pathlib import Path

from convatlas import catalog
from convatlas.analysis.costs import catalog_costs
from convatlas.analysis.errata import errata_page
from convatlas.analysis.ledger import read_ledger
from convatlas.analysis.published import Published, common_test, published_errors
from convatlas.analysis.report import size_text
from convatlas.card import Architecture
from convatlas.files import write_text

REPOSITORY = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- table of networks: make tables -->\n", "<!-- end of the table -->"


def papers_table() -> str:
    """One row for each paper: its networks and their range of cost."""
    costs = catalog_costs()
    rows = ["| paper | year | networks | parameters | MACs |", "|---|---|---|---|---|"]
    for architecture in catalog.ARCHITECTURES:
        paper, names = architecture.paper, list(architecture.variants)
        title = f"[{paper.title}]({_page(architecture)})"
        params = _range([costs[name][0] for name in names])
        macs = _range([costs[name][1] for name in names])
        shown = ", ".join(f"`{name}`" for name in names)
        rows.append(f"| {title} | {paper.year} | {shown} | {params} | {macs} |")
    return "\n".join(rows) + "\n"


def networks_page() -> str:
    """Every network with its cost, its input and how it differs from its paper's."""
    costs = catalog_costs()
    parts = [
        "# Every network\n\n"
        "Parameters and multiply-accumulates for one image of the size given, as `convatlas list` "
        "counts them; convolutions and linear layers count, biases do not. Errors in percent, as "
        "published for one network, top-1 and top-5 on ImageNet; `convatlas compare` names who "
        "prints them. This page is made by `make tables`.\n"
    ]
    claims = read_ledger()
    published = common_test({name: published_errors(name, claims) for name in costs})
    for architecture in catalog.ARCHITECTURES:
        paper = architecture.paper
        rows = ["| network | parameters | MACs | input | published error | remarks |"]
        rows.append("|---|---|---|---|---|---|")
        for name, variant in architecture.variants.items():
            params, macs = costs[name]
            size = size_text(variant.input_shape)
            error = _error(published.get(name))
            cells = (f"`{name}`", f"{params:,}", f"{macs:,}", size, error, variant.deviation)
            rows.append(f"| {' | '.join(cells)} |")
        title = f"## {paper.title}\n\n{paper.authors}, {paper.year}. {_link(architecture)}\n"
        parts.append(title + "\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def readme() -> str:
    """The README with its table renewed."""
    before, _, rest = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + papers_table() + END + after


def main(check: bool) -> int:
    """Write what is out of date, or with `check` only name it."""
    pages = {"README.md": readme, "docs/networks.md": networks_page, "docs/errata.md": errata_page}
    old = []
    for name, page in pages.items():
        path, text = REPOSITORY / name, page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            old.append(name)
            if not check:
                write_text(path, text)
    print(f"out of date: {', '.join(old)}" if old else "all tables are up to date")
    return 1 if check and old else 0


def _page(architecture: Architecture) -> str:
    return f"docs/architectures/{architecture.name}.md"


def _link(architecture: Architecture) -> str:
    page = f"[The page of the paper](architectures/{architecture.name}.md)"
    return f"<{architecture.paper.url}>. {page}." if architecture.paper.url else f"{page}."


def _error(result: Published | None) -> str:
    if result is None:
        return ""
    top1, top5 = result.top1_error, result.top5_error
    errors = "-" if top1 is None else f"{top1:.2f}"
    if top5 is not None:
        errors += f" / {top5:.2f}"
    return f"{errors} ({result.test})"


def _range(values: list[int]) -> str:
    low, high = _short(min(values)), _short(max(values))
    return low if low == high else f"{low} to {high}"


def _short(value: int) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return str(value)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
