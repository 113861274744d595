"""`convatlas visualize mistakes` of a finished run: what its test found, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest

from convatlas.cli import main


def drawn(capsys: pytest.CaptureFixture[str], *args: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["visualize", "mistakes", *map(str, args)])
    return int(ended.value.code or 0), *capsys.readouterr()


def test_the_mistakes_are_those_of_the_test(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in finished_run.iterdir())
    test = json.loads((finished_run / "test.json").read_text())
    code, out, _ = drawn(
        capsys, finished_run, "--out", tmp_path / "m.png", "--count", "3", "--json"
    )
    told = json.loads(out)
    assert code == 0
    assert told["confusion"] == test["confusion"]
    assert told["top1_accuracy"] == test["top1_accuracy"]
    assert [m["loss"] for m in told["mistakes"]] == [m["loss"] for m in test["mistakes"][:3]]
    assert told["wrong"] == round((1 - test["top1_accuracy"]) * test["count"])
    assert sorted(path.name for path in finished_run.iterdir()) == before  # nothing was evaluated


def test_a_later_look_with_data_finds_the_same_and_is_counted(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "copy"))
    found = []
    for options in ([], ["--data", "digits"]):
        _, out, _ = drawn(capsys, run, *options, "--out", tmp_path / "m.png", "--json")
        found.append(json.loads(out))
    assert found[0]["confusion"] == found[1]["confusion"]
    assert [m["image"] for m in found[0]["mistakes"]] == [m["image"] for m in found[1]["mistakes"]]
    assert found[1]["test_reads"] == 2
    assert "test_reads" not in found[0]


def test_images_that_are_not_those_of_the_test_are_refused(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "copy"))
    test = json.loads((run / "test.json").read_text())
    test["mistakes"][0]["name"] = "digit 99999"
    (run / "test.json").write_text(json.dumps(test))
    code, _, err = drawn(capsys, run, "--out", tmp_path / "m.png")
    assert code == 2
    assert "was 'digit 99999' and is" in err
    assert not (tmp_path / "m.png").exists()
