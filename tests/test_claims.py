"""The ledger against the networks."""

import importlib
import re
from pathlib import Path

import pytest
import yaml

import convatlas as ca
from convatlas.analysis.block_studies import STUDIES
from convatlas.analysis.claims import ClaimResult
from convatlas.analysis.errata import errata_page
from convatlas.analysis.ledger import read_ledger
from convatlas.catalog import ARCHITECTURES

REPOSITORY = Path(__file__).resolve().parent.parent
LEDGER = REPOSITORY / "src" / "convatlas" / "claims"


@pytest.fixture(scope="module")
def results() -> dict[str, ClaimResult]:
    return {result.id: result for result in ca.check_claims()}


def test_no_claim_fails(results: dict[str, ClaimResult]):
    assert [(r.id, r.recomputed, r.reason) for r in results.values() if r.verdict == "fail"] == []


def test_every_derivable_claim_is_recomputed(results: dict[str, ClaimResult]):
    kinds = {r.id: r.claim.kind for r in results.values() if r.recomputed is None}
    assert [(id_, results[id_].reason) for id_, kind in kinds.items() if kind == "derivable"] == []


def test_a_print_that_is_wrong_is_an_erratum(results: dict[str, ClaimResult]):
    caption = results["alexnet.neurons.conv1"]
    assert (caption.verdict, caption.published, caption.recomputed) == ("erratum", 253440, 290400)
    wrong = {r.id for r in results.values() if r.verdict == "erratum"}
    marked = {r.id for r in results.values() if r.claim.agrees is False}
    assert wrong == {id_ for id_ in marked if results[id_].recomputed is not None}


def test_only_the_ledger_says_which_print_is_wrong(results: dict[str, ClaimResult]):
    rooms = (REPOSITORY / "src" / "convatlas" / "analysis").glob("*.py")
    code = "\n".join(path.read_text(encoding="utf-8") for path in rooms)
    assert [id_ for id_ in results if f'"{id_}"' in code] == []


def test_a_claim_under_another_id_and_in_another_file_has_the_same_verdict(
    results: dict[str, ClaimResult], tmp_path: Path
):
    quantities = ("cost_ratio", "hyperparameter", "ordering", "connections")
    chosen = [
        entry
        for path in sorted(LEDGER.glob("*.yaml"))
        for entry in yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        if entry["kind"] == "derivable"
        and (entry["quantity"] in quantities or entry["architecture"] in STUDIES)
    ][::2]
    assert len(chosen) > 30
    renamed = [entry | {"id": f"n{i}"} for i, entry in enumerate(chosen)]
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(renamed), encoding="utf-8")
    found = [(r.verdict, r.recomputed) for r in ca.check_claims(ledger=tmp_path)]
    kept = [results[entry["id"]] for entry in chosen]
    assert found == [(result.verdict, result.recomputed) for result in kept]


def test_the_page_of_the_errata_is_that_of_the_ledger():
    page = (REPOSITORY / "docs" / "errata.md").read_text(encoding="utf-8")
    assert page == errata_page(), "make it again: convatlas claims --errata > docs/errata.md"


def test_the_pages_of_the_papers_show_these_verdicts(
    results: dict[str, ClaimResult], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(REPOSITORY / "docs"))
    tables, sections = (importlib.import_module(name) for name in ("tables", "paper_pages"))
    old = [
        architecture.name
        for architecture in ARCHITECTURES
        if sections.claims(architecture, list(results.values()))
        not in (REPOSITORY / tables.page_of(architecture)).read_text(encoding="utf-8")
    ]
    assert old == [], "make tables"
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert tables.counted(text, list(results.values())) == text, "make tables"


def test_the_ledger_speaks_of_papers_only():
    for claim in read_ledger():
        words = f"{claim.source} {claim.reference} {claim.note}"
        assert not re.search(r"refnet|mission|seed text|/work|shared/", words), claim.id
