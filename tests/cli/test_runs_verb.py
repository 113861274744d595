"""`convatlas runs`."""

import json

import pytest
from click.testing import CliRunner

from convatlas.cli.runs import command, spark


@pytest.fixture
def runs(tmp_path):
    for seed in (0, 1):
        folder = tmp_path / f"seed{seed}"
        folder.mkdir()
        config = {"architecture": "lenet5", "source": "digits", "seed": seed}
        (folder / "config.json").write_text(json.dumps(config | {"recipe": {"epochs": 3}}))
        epochs = [{"epoch": e, "val_accuracy": e / 4, "val_loss": 1.0} for e in (1, 2)]
        (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, epochs)))
    return tmp_path


def lines(*args):
    result = CliRunner().invoke(command, list(map(str, args)), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout.splitlines()


def test_lists_runs_with_their_curves(runs):
    head, first, second = lines(runs)
    assert head.split()[:3] == ["run", "network", "data"]
    assert first.split()[:6] == ["seed0", "lenet5", "digits", "0", "2/3", "▁█"]
    assert "50.00%" in second
    assert "unfinished" in second


def test_compares_settings_and_draws(runs):
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    shown = lines(runs, "--compare", "--plot", runs / "curves.png")
    assert shown[-2].split() == ["seed", "0", "1"]
    assert (runs / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_json_holds_all(runs):
    found = json.loads("\n".join(lines(runs, "--json", "--compare")))
    assert [run["config"]["seed"] for run in found["runs"]] == [0, 1]
    assert found["different"] == {"seed": [0, 1]}


def test_without_runs_it_tells_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lines() == ["no runs in runs; convatlas train NAME --data SOURCE makes one"]


def test_a_broken_run_is_left_out_with_its_reason(runs):
    (runs / "seed1" / "config.json").write_text("{")
    result = CliRunner().invoke(command, [str(runs)])
    assert result.exit_code == 0
    assert "left out" in result.stderr
    assert "seed1" in result.stderr


def test_a_curve_as_bars():
    assert spark([]) == ""
    assert spark([0.5]) == "▁"
    assert spark([0.0, 0.5, 1.0]) == "▁▅█"
    assert len(spark([i / 99 for i in range(100)])) == 16
    assert spark([i / 99 for i in range(100)])[-1] == "█"
