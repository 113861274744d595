"""What stands between markers in the page of a paper: figures, networks, recipes, claims.

The rest of a page is written by hand.
"""

import importlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pictures import BLOCKS, MAIN

from convatlas.analysis.claims import ClaimResult
from convatlas.analysis.costs import Costs
from convatlas.analysis.errata import show_value, what_text
from convatlas.analysis.published import Published
from convatlas.analysis.report import size_text
from convatlas.card import Architecture
from convatlas.report.recipes import recipes_table

FIGURES = ("<!-- figures: make tables -->\n", "<!-- end of the figures -->\n")
FACTS = ("<!-- from the code: make tables -->\n", "<!-- end of what comes from the code -->\n")
CLAIMS = ("<!-- from the ledger: make tables -->\n", "<!-- end of what comes from the ledger -->\n")
_SHORT = 12  # rows of a table that is not folded


def renewed(text: str, markers: tuple[str, str], body: str) -> str:
    """Put `body` between markers of a page.

    Raises:
        ValueError: The page has no such markers.
    """
    begin, end = markers
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no {begin.strip()} and {end.strip()}")
    return before + begin + body + end + after


def figures(architecture: Architecture) -> str:
    """Show the pictures of a paper's main network and of its blocks."""
    name = architecture.name
    main = MAIN[name]
    parts = [
        f"![{main}, stage by stage: parameters, multiply-adds and activation memory]"
        f"(../images/networks/{name}.svg)\n\n"
        f"*{main}, drawn by `convatlas show {main} --plot {main}.svg`. A line through a box parts "
        "the blocks of a stage, or the branches that are concatenated; the field is what a value "
        "of the stage's last map sees of the image.*\n"
    ]
    blocks = BLOCKS.get(name)
    if blocks:
        words = "; ".join(f"{network}, `{block}`" for network, block in blocks.values())
        parts.append(
            f"![{', '.join(blocks)}](../images/networks/{name}_block.svg)\n\n"
            f"*{', '.join(blocks)} ({words}), drawn from the code: `convatlas show NETWORK "
            "--block BLOCK --plot FILE`.*\n"
        )
    return "\n" + "\n".join(parts) + "\n"


def facts(
    architecture: Architecture, costs: Costs, published: Mapping[str, Published | None]
) -> str:
    """List the networks of a paper, what holds for all of them, and its recipes."""
    parts = [
        f"\n## Networks and recipes, from the code\n\n{_networks(architecture, costs, published)}"
    ]
    if architecture.deviations:
        listed = "\n".join(f"- {deviation}" for deviation in architecture.deviations)
        parts.append(f"Deviations of all of them:\n\n{listed}\n")
    recipes = importlib.import_module(f"convatlas.recipes.{architecture.name}").RECIPES
    parts.append(f"### Recipes\n\n{recipes_table(recipes)}")
    return "\n".join(parts) + "\n"


def claims(architecture: Architecture, results: Iterable[ClaimResult]) -> str:
    """Set what is printed of a paper's networks against what they give."""
    own = [result for result in results if result.claim.file == architecture.name]
    counts = Counter(result.verdict for result in own)
    told = f"{counts['pass']} hold, {counts['erratum']} are errata"
    told += f", {counts['fail']} fail" if counts["fail"] else ""
    parts = [
        f"\n## Claims\n\nOf {len(own)} values that are printed, "
        f"{len(own) - counts['not derivable']} follow from a network and are recomputed by "
        f"`convatlas claims {architecture.name}`: {told}.\n"
    ]
    checked = [result for result in own if result.verdict != "not derivable"]
    others = [result for result in own if result.verdict == "not derivable"]
    rows = [_checked(result) for result in checked]
    head = ("claim", "published", "recomputed", "verdict", "source")
    parts.append(_folded(f"The {len(rows)} recomputed values", head, rows))
    if others:
        rows = [_other(result) for result in others]
        words = f"{len(rows)} more: results of training, and history"
        parts.append(_folded(words, ("claim", "published", "source"), rows, always=True))
    return "\n".join(parts) + "\n"


def _networks(
    architecture: Architecture, costs: Costs, published: Mapping[str, Published | None]
) -> str:
    rows = []
    for name, variant in architecture.variants.items():
        params, macs = costs[name]
        size = size_text(variant.input_shape)
        errors = error_text(published.get(name))
        rows.append((f"`{name}`", size, f"{params:,}", f"{macs:,}", errors, variant.deviation))
    head = ("network", "input", "parameters", "MACs", "published error, %", "deviation")
    forms = ", ".join(f"`{form}`" for form in architecture.forms)
    more = f"\nAlso by formula: {forms}.\n" if forms else ""
    return _table(head, rows) + more


def error_text(result: Published | None) -> str:
    """Write top-1 and top-5 error, and what they were tested on."""
    if result is None:
        return ""
    top1, top5 = result.top1_error, result.top5_error
    errors = "-" if top1 is None else f"{top1:.2f}"
    errors += "" if top5 is None else f" / {top5:.2f}"
    return f"{errors} ({result.test})"


def _checked(result: ClaimResult) -> tuple[str, ...]:
    verdict = result.verdict + (f": {result.reason}" if result.reason else "")
    values = (_value(result, result.published), _value(result, result.recomputed))
    return (what_text(result.claim), *values, verdict, result.source)


def _other(result: ClaimResult) -> tuple[str, ...]:
    note = result.claim.note if result.claim.agrees is False else ""
    source = result.source + (f" (erratum: {note})" if note else "")
    return what_text(result.claim), _value(result, result.published), source


def _value(result: ClaimResult, value: object) -> str:
    return str(value) if result.quantity == "year" else show_value(value)  # 2010, not 2,010


def _folded(
    words: str, head: Sequence[str], rows: Sequence[Sequence[str]], always: bool = False
) -> str:
    """Write a table; a long one opens by a click."""
    table = _table(head, rows)
    if len(rows) <= _SHORT and not always:
        return table
    return f"<details>\n<summary>{words}</summary>\n\n{table}\n</details>\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
