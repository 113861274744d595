"""`list`, `show` and `claims`: what they print, and how they end."""

import json
from pathlib import Path

import pytest

from convatlas import catalog
from convatlas.architectures import lenet5
from convatlas.cli import main

CLAIM = """
- id: {id}
  architecture: lenet5_modern
  quantity: params
  value: {value}
  tolerance: exact
  source: {{ref: A paper, where: Table 1}}
  kind: derivable
  {rest}
"""


def code_of(*args: str) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main(list(args))
    return caught.value.code


@pytest.fixture
def one_paper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A catalog that is counted quickly, and where its costs are kept."""
    monkeypatch.setattr(catalog, "ARCHITECTURES", (lenet5.ARCHITECTURE,))
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path))
    return tmp_path / "costs" / "costs.json"


def ledger(folder: Path, value: int, rest: str = "") -> Path:
    text = CLAIM.format(id="test.params", value=value, rest=rest)
    (folder / "any.yaml").write_text(text, encoding="utf-8")
    return folder


def test_list_names_every_network(one_paper: Path, capsys: pytest.CaptureFixture[str]):
    assert code_of("list") == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "year", "params", "MACs", "input", "weights", "paper"]
    assert [line.split()[0] for line in lines[:-1]] == catalog.variants()
    words = ["lenet5", "1998", "60,000", "325,680", "1x32x32"]
    assert lines[0].split()[:5] == words
    assert lines[0].endswith("Gradient-Based Learning Applied to Document Recognition")


def test_list_as_json(one_paper: Path, capsys: pytest.CaptureFixture[str]):
    assert code_of("list", "--json") == 0
    networks = {network["name"]: network for network in json.loads(capsys.readouterr().out)}
    assert networks["lenet5"]["params"] == 60000
    assert networks["lenet5_modern"]["macs"] == 416520
    assert networks["lenet5_modern"]["input_shape"] == [1, 32, 32]


def test_list_counts_only_once(one_paper: Path, capsys: pytest.CaptureFixture[str]):
    assert code_of("list") == 0
    first = capsys.readouterr()
    assert "counting" in first.err
    kept = json.loads(one_paper.read_text(encoding="utf-8"))
    kept["costs"]["lenet5"] = [1, 2]
    one_paper.write_text(json.dumps(kept), encoding="utf-8")
    one_paper.with_name("list.json").unlink()
    assert code_of("list") == 0
    second = capsys.readouterr()
    assert second.err == ""
    assert second.out.splitlines()[1].split()[2:4] == ["1", "2"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"key": "of other code", "costs": {"lenet5": [1, 2]}}']
)
def test_list_counts_again_what_is_stale_or_damaged(
    one_paper: Path, text: str, capsys: pytest.CaptureFixture[str]
):
    one_paper.parent.mkdir()
    one_paper.write_text(text, encoding="utf-8")
    assert code_of("list") == 0
    assert capsys.readouterr().out.splitlines()[1].split()[2:4] == ["60,000", "325,680"]


def test_list_needs_no_place_to_keep_it(
    one_paper: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("CONVATLAS_CACHE", "/dev/null/nowhere")
    assert code_of("list") == 0
    assert "60,000" in capsys.readouterr().out


def test_show_prints_layers_totals_and_deviations(capsys: pytest.CaptureFixture[str]):
    assert code_of("show", "alexnet") == 0
    out = capsys.readouterr().out
    assert out.startswith("alexnet on 3x227x227\nImageNet Classification with Deep")
    assert "parameters:      60,965,224" in out
    assert "MACs:            724,406,816" in out
    assert "receptive field: 195 pixels" in out
    assert "least input:     227x227" in out
    assert "deviation:       The input is 227x227" in out
    assert "stages.conv4" in out
    assert max(len(line) for line in out.splitlines() if line.startswith("stages")) > 80


def test_show_takes_another_input_and_other_classes(capsys: pytest.CaptureFixture[str]):
    assert code_of("show", "resnet18", "--input", "1x64x96", "--classes", "3", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["input_shape"] == [1, 64, 96]
    assert report["layers"][-1]["output_shape"] == [3]
    assert report["layers"][0]["params"] == 64 * 49
    assert report["paper"]["year"] == 2015
    assert report["deviations"]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["resnet5O"], "no variant named 'resnet5O'; did you mean: resnet50"),
        (["resnet50", "--input", "224"], "'224' is no CxHxW, such as 3x224x224"),
        (["resnet50", "--classes", "0"], "--classes"),
        (["alexnet", "--input", "3x64x64"], "at least 227x227"),
    ],
)
def test_a_mistake_of_show_is_one_line(
    args: list[str], line: str, capsys: pytest.CaptureFixture[str]
):
    assert code_of("show", *args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert line in err
    assert err.count("\n") == 1


def test_claims_prints_what_holds(capsys: pytest.CaptureFixture[str]):
    assert code_of("claims", "lenet5_modern", "alexnet") == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].split() == ["claim", "published", "recomputed", "verdict", "source"]
    assert any(
        line.split()[:4] == ["lenet5_modern:", "params", "61,706", "61,706"] for line in lines
    )
    assert "erratum alexnet.neurons.conv1: printed 253,440" in out
    assert " 0 fail, " in lines[-1]
    assert lines[-1].endswith("not derivable (--all lists them)")


def test_claims_lists_the_others_if_asked(capsys: pytest.CaptureFixture[str]):
    assert code_of("claims", "lenet5", "--all") == 0
    out = capsys.readouterr().out
    assert "not derivable lenet.err.mnist: the result of a training" in out
    assert out.splitlines()[-1].endswith(" not derivable")


def test_claims_as_json_are_those_of_the_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert code_of("claims", "--ledger", str(ledger(tmp_path, 61706)), "--json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "id": "test.params",
            "architecture": "lenet5_modern",
            "quantity": "params",
            "published": 61706,
            "recomputed": 61706,
            "verdict": "pass",
            "source": "A paper, Table 1",
        }
    ]


@pytest.mark.parametrize("form", [["--json"], []])
def test_a_wrong_number_fails_with_1(
    tmp_path: Path, form: list[str], capsys: pytest.CaptureFixture[str]
):
    assert code_of("claims", "--ledger", str(ledger(tmp_path, 61700)), *form) == 1
    out, err = capsys.readouterr()
    assert "fail" in out
    assert err == ""


def test_a_misprint_does_not_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rest = "reference_value: 61706\n  agrees: false\n  note: a slip"
    folder = ledger(tmp_path, 67106, rest)
    assert code_of("claims", "--ledger", str(folder)) == 0
    assert "erratum test.params: a slip" in capsys.readouterr().out
    assert code_of("claims", "--ledger", str(folder), "--errata") == 0
    assert "| lenet5_modern: params | 67,106 | 61,706 | a slip |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["vgg166"], "no network or family named 'vgg166'; did you mean: vgg16"),
        (["--ledger", "/nowhere"], "no folder of claims at /nowhere"),
    ],
)
def test_a_mistake_of_claims_is_one_line(
    args: list[str], line: str, capsys: pytest.CaptureFixture[str]
):
    assert code_of("claims", *args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert line in err
    assert err.count("\n") == 1


def test_a_network_without_claims_is_no_mistake(capsys: pytest.CaptureFixture[str]):
    assert code_of("claims", "lenet_caffe") == 0
    assert capsys.readouterr().out == "0 pass, 0 erratum, 0 fail, 0 not derivable\n"
