"""A ledger that is not the project's own, of networks that no paper prints: rules are general."""

import ast
import re
from pathlib import Path

import pytest
import yaml

import convatlas as ca
from convatlas.analysis.ledger import read_ledger
from convatlas.catalog import variants
from convatlas.cli import main

LEDGER = Path(__file__).parent / "second_ledger"
ROOMS = Path(ca.__file__).parent


@pytest.fixture(scope="module")
def verdicts() -> dict[str, str]:
    return {result.id: result.verdict for result in ca.check_claims(ledger=LEDGER)}


def test_what_was_counted_by_hand_is_recomputed(verdicts):
    others = {"second.wide22.slip": "erratum", "second.wide22.error": "not derivable"}
    assert {id_: verdict for id_, verdict in verdicts.items() if verdict != "pass"} == others
    assert len(verdicts) > 20


def test_its_networks_are_not_those_that_papers_print():
    entries = yaml.safe_load((LEDGER / "nobody.yaml").read_text(encoding="utf-8"))
    assert not {entry["architecture"] for entry in entries} & set(variants())


@pytest.mark.parametrize("factor", [0.5, 1.01])
def test_every_number_that_is_wrong_fails(factor, tmp_path):
    entries = yaml.safe_load((LEDGER / "nobody.yaml").read_text(encoding="utf-8"))
    entries = [entry for entry in entries if entry.get("agrees")]
    for entry in entries:
        for key in ("value", "reference_value"):
            number = entry[key]
            entry[key] = [9, 9, 9] if isinstance(number, list) else factor * number
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(entries), encoding="utf-8")
    assert {result.verdict for result in ca.check_claims(ledger=tmp_path)} == {"fail"}


def test_the_verb_takes_it(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["claims", "--ledger", str(LEDGER)])
    assert stop.value.code == 0
    assert "second.wide22" in capsys.readouterr().out.replace("\n", "")


def test_no_code_knows_a_claim_by_its_id():
    """Neither as a text of its own nor as a word of one."""
    ids = {claim.id for claim in read_ledger()}
    texts = [
        node.value
        for path in ROOMS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    words = {word for text in texts for word in re.findall(r"[\w.+-]+", text)}
    assert ids & words == set()
