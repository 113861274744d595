"""What a start costs: the modules it imports are counted, for times depend on the machine."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from convatlas.report import listing as room
from convatlas.report.listing import Listed, listing
from convatlas.report.shown import shown


def modules(*args: str) -> set[str]:
    """Run a verb in a fresh interpreter and give the modules it imported."""
    code = """
import sys
from convatlas.cli import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert stop.code == 0, stop.code
sys.stderr.write("\\n".join(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines())


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """Costs that nobody has to count; the cache is in `tmp_path`."""
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path))
    costs = {"lenet5": (1, 2), "resnet50": (3, 4)}
    monkeypatch.setattr("convatlas.analysis.costs.catalog_costs", lambda _: costs)
    return costs


def test_a_list_that_was_made_before_needs_no_torch(counted):
    listing()
    for args in (["list"], ["list", "--json"]):
        heavy = {"torch", "numpy", "PIL", "yaml", "http.client"} & modules(*args)
        assert heavy == set()


def test_show_imports_neither_the_compiler_nor_its_algebra(counted):
    assert {"sympy", "torch._dynamo", "torch._inductor"} & modules("show", "lenet5") == set()
    heavy = {"torch", "numpy", "PIL", "yaml"}
    assert heavy & modules("show", "lenet5") == set()  # the second time all is kept
    assert heavy & modules("show", "lenet5", "--json") == set()


def test_what_is_kept_of_a_network_is_what_was_shown(counted, tmp_path):
    first = shown("lenet5_modern")
    file = tmp_path / "costs" / "show-lenet5_modern.json"
    assert file.exists()
    assert json.loads(json.dumps(asdict(first))) == asdict(shown("lenet5_modern"))
    file.write_text("{}")
    assert shown("lenet5_modern") == first
    other = shown("lenet5_modern", classes=3)
    assert other.document["params"] != first.document["params"]
    assert [path.name for path in file.parent.glob("show*")] == [file.name]


def test_a_kept_list_is_the_list(counted, tmp_path, monkeypatch):
    first = listing()
    assert [(one.name, one.params, one.macs) for one in first.networks] == [
        ("lenet5", 1, 2),
        ("resnet50", 3, 4),
    ]
    assert first.networks[1].input_shape == (3, 224, 224)
    assert "resnet<6n+2>_cifar" in first.forms
    counted.clear()
    assert listing() == first


@pytest.mark.parametrize("text", ["", "[]", '{"key": 1}', "{", '{"key": "K", "networks": [{}]}'])
def test_a_damaged_list_is_made_again(counted, tmp_path, text):
    first = listing()
    file = tmp_path / "costs" / "list.json"
    key = json.loads(file.read_text())["key"]
    file.write_text(text.replace("K", key))
    assert listing() == first


def test_other_code_makes_another_list(counted, monkeypatch):
    listing()
    counted["lenet5"] = (9, 9)
    monkeypatch.setattr(room, "code_digest", lambda *_: "other")
    assert isinstance(listing().networks[0], Listed)
    assert listing().networks[0].params == 9
