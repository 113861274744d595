"""Write the pages and tables that are made from the catalog and the ledger.

Run: make tables    # renews what is out of date: pages by their text, pictures by their description
     python docs/tables.py --check     # only says what is out of date; exit 1 if anything is
     python docs/tables.py --redraw    # draws every picture anew
"""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from lineage_page import lineage_page, lineage_pictures
from paper_pages import CLAIMS, FACTS, FIGURES, claims, error_text, facts, figures, renewed
from pictures import Picture, is_current, ledger, pictures
from studies_page import studies_page

from convatlas import catalog
from convatlas.analysis.claims import ClaimResult, check_claims
from convatlas.analysis.costs import catalog_costs
from convatlas.analysis.errata import errata_page
from convatlas.analysis.published import Published, common_test, published_errors
from convatlas.analysis.report import size_text
from convatlas.card import Architecture
from convatlas.files import write_text
from convatlas.report.recipes import recipes_page

REPOSITORY = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- table of networks: make tables -->\n", "<!-- end of the table -->"


def papers_table() -> str:
    """One row for each paper: its networks and their range of cost."""
    costs = catalog_costs()
    rows = ["| paper | year | networks | parameters | MACs |", "|---|---|---|---|---|"]
    for architecture in catalog.ARCHITECTURES:
        paper, names = architecture.paper, list(architecture.variants)
        title = f"[{paper.title}]({page_of(architecture)})"
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
    published = usual_errors()
    for architecture in catalog.ARCHITECTURES:
        paper = architecture.paper
        rows = ["| network | parameters | MACs | input | published error | remarks |"]
        rows.append("|---|---|---|---|---|---|")
        for name, variant in architecture.variants.items():
            params, macs = costs[name]
            size = size_text(variant.input_shape)
            error = error_text(published.get(name))
            cells = (f"`{name}`", f"{params:,}", f"{macs:,}", size, error, variant.deviation)
            rows.append(f"| {' | '.join(cells)} |")
        title = f"## {paper.title}\n\n{paper.authors}, {paper.year}. {_link(architecture)}\n"
        parts.append(title + "\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


@cache
def usual_errors() -> dict[str, Published]:
    """Give the published errors of every network, tested alike where that can be."""
    return common_test({name: published_errors(name, ledger()) for name in catalog.variants()})


def readme() -> str:
    """The README with its table renewed."""
    before, _, rest = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + papers_table() + END + after


def counted(text: str, results: Sequence[ClaimResult]) -> str:
    """Renew what the README says of how many claims there are, and hold.

    Raises:
        ValueError: It says nothing of that.
    """
    verdicts = Counter(result.verdict for result in results)
    errata, every = verdicts["erratum"], len(results)
    checked = every - verdicts["not derivable"]
    for pattern, number in (
        (r"(?<=a \[ledger\]\(docs/claims\.md\) of )[\d,]+(?= claims)", every),
        (r"(?<=recomputes the )[\d,]+(?= that follow)", checked),
        (r"(?<=The )[\d,]+(?= of them that do not hold)", errata),
    ):
        text, found = re.subn(pattern, f"{number:,}", text)
        if found != 1:
            raise ValueError(f"the README has no {pattern}")
    return text


def paper_pages(results: Sequence[ClaimResult] | None) -> dict[str, str]:
    """Give the pages of the papers with what stands between their markers renewed.

    Args:
        results: Of all claims; None: the sections of the claims are left as they are.
    """
    costs, published = catalog_costs(), usual_errors()
    pages = {}
    for architecture in catalog.ARCHITECTURES:
        name = page_of(architecture)
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        text = renewed(text, FIGURES, figures(architecture))
        text = renewed(text, FACTS, facts(architecture, costs, published))
        if results is not None:
            text = renewed(text, CLAIMS, claims(architecture, results))
        pages[name] = text
    return pages


def out_of_date(results: Sequence[ClaimResult] | None) -> dict[str, str]:
    """Give the pages that are not what they should be: path -> what should stand there."""
    pages = {
        "README.md": readme() if results is None else counted(readme(), results),
        "docs/networks.md": networks_page(),
        "docs/errata.md": errata_page(),
        "docs/recipes.md": recipes_page(),
        "docs/lineage.md": lineage_page(),
        "docs/studies.md": studies_page(),
        **paper_pages(results),
    }
    return {name: text for name, text in pages.items() if is_old(name, text)}


def is_old(name: str, text: str) -> bool:
    """Tell whether a page is not what it should be."""
    path = REPOSITORY / name
    return not path.exists() or path.read_text(encoding="utf-8") != text


def every_picture() -> dict[str, Picture]:
    """Give every picture: path -> what it shows in words, and how it is drawn."""
    return pictures() | lineage_pictures()


def old_pictures() -> dict[str, Picture]:
    """Give the pictures that do not show what they should."""
    return {
        name: (told, draw)
        for name, (told, draw) in every_picture().items()
        if not is_current(REPOSITORY / name, told())
    }


def main(check: bool, redraw: bool = False) -> int:
    """Write what is out of date, or with `check` only name it; `redraw` draws all pictures anew."""
    pages = out_of_date(check_claims())
    drawn = every_picture() if redraw else old_pictures()
    if not check:
        for name, text in pages.items():
            write_text(REPOSITORY / name, text)
        for name, (_, draw) in drawn.items():
            (REPOSITORY / name).parent.mkdir(parents=True, exist_ok=True)
            draw(REPOSITORY / name)
    old = [*pages, *drawn]
    print(f"out of date: {', '.join(old)}" if old else "all tables are up to date")
    return 1 if check and old else 0


def page_of(architecture: Architecture) -> str:
    """Give where the page of a paper is, in the repository."""
    return f"docs/architectures/{architecture.name}.md"


def _link(architecture: Architecture) -> str:
    page = f"[The page of the paper](architectures/{architecture.name}.md)"
    return f"<{architecture.paper.url}>. {page}." if architecture.paper.url else f"{page}."


def _range(values: list[int]) -> str:
    low, high = _short(min(values)), _short(max(values))
    return low if low == high else f"{low} to {high}"


def _short(value: int) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return str(value)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:], "--redraw" in sys.argv[1:]))
