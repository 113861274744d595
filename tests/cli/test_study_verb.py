import json
import signal
import subprocess
import sys
import time

import pytest

from convatlas.studies import registry

pytest.importorskip("matplotlib", reason="a study draws a chart")


@pytest.fixture
def tiny(monkeypatch, request):
    """Put a study of a second in the place of all others."""
    monkeypatch.syspath_prepend(request.path.parent.parent / "studies")
    import tiny_study

    monkeypatch.setattr(registry, "STUDIES", (tiny_study.STUDY,))
    return tiny_study.STUDY


def test_lists_every_study(call):
    names = [study.name for study in registry.STUDIES]
    ended = call("study", "--list", "--json")
    assert ended.code == 0
    assert [row["name"] for row in json.loads(ended.out)] == names
    lines = call("study", "--list").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == names


def test_runs_prints_and_leaves_a_page(call, tiny, tmp_path):
    ended = call("study", "tiny", "--seeds", "2", "--out", tmp_path, "--workers", "1")
    assert ended.code == 0
    assert "Longer against shorter: passed" in ended.out
    assert "holds  long has less train error than short by at least 2 points" in ended.out
    assert "tiny 4/4  long, seed 1" in ended.err
    page = (tmp_path / "tiny" / "report.html").read_text()
    for words in ("passed", tiny.claim, "Table 1", "650", "<svg"):
        assert words in page
    again = call(
        "study", "--all", "--seeds", "2", "--out", tmp_path, "--workers", "1", "--resume", "--json"
    )
    assert again.code == 0
    assert json.loads(again.out)["verdict"] == "passed"
    assert "known already" in again.err


def test_a_claim_that_fails_is_said_and_is_exit_code_1(call, tiny, tmp_path, monkeypatch):
    from dataclasses import replace

    from convatlas.studies.checks import less_error

    def judge(results):
        return [less_error(results, "short", "long", metric="train_error")]

    monkeypatch.setattr(registry, "STUDIES", (replace(tiny, judge=judge),))
    ended = call("study", "tiny", "--seeds", "1", "--out", tmp_path, "--workers", "1")
    assert ended.code == 1
    assert "failed" in ended.out
    assert "It never does." in ended.out
    assert "It never does." in (tmp_path / "tiny" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("gap_shfit",), "no study named 'gap_shfit'; did you mean: gap_shift"),
        ((), "name the studies, or say --all"),
        (("gap_shift", "--all"), "name the studies, or say --all"),
        (("gap_shift", "--data", "mnist"), "--data takes NAME=SOURCE"),
        (("gap_shift", "--data", "mnist=minst"), "no data source named 'minst'"),
        (("gap_shift", "--resume", "--overwrite"), "choose one"),
        (("gap_shift", "--seeds", "0"), "0 is not in the range"),
        (("gap_shift", "--scale", "smal"), "'smal' is not one of"),
    ],
)
def test_says_in_one_line_what_is_wrong(call, words, line, tmp_path):
    ended = call("study", *words, "--out", tmp_path)
    assert ended.code == 2
    assert line in ended.err
    assert len(ended.err.strip().splitlines()) == 1


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(data_root, tmp_path):
    words = [
        sys.executable, "-m", "convatlas", "study", "gap_shift", "--seeds", "1", "--workers", "2",
        "--out", str(tmp_path), "--root", str(data_root / "mnist"),
    ]  # fmt: skip
    running = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    checkpoint = "gap_shift/unfinished/*/run/*.pt"
    until = time.monotonic() + 240
    while not list(tmp_path.glob(checkpoint)) and time.monotonic() < until:
        time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "stopped; to go on: convatlas study gap_shift --seeds 1" in told
    assert list(tmp_path.glob(checkpoint))
