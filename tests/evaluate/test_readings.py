"""A run's folder counts how often its test images were read."""

import json
from pathlib import Path

import pytest

from convatlas.errors import FileError
from convatlas.evaluate.readings import (
    count_readings,
    is_own_test_split,
    note_reading,
    readings,
    run_of,
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    config = {"source": f"folder:{tmp_path / 'pets'}", "root": None}
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    (tmp_path / "run" / "metrics.jsonl").touch()
    return tmp_path / "run"


def test_a_run_is_its_folder_or_one_of_its_networks(run: Path, tmp_path: Path) -> None:
    assert run_of(run) == run_of(run / "model.safetensors") == run
    assert run_of(run / "best.safetensors") == run
    assert run_of(run / "other.safetensors") is None
    assert run_of(tmp_path) is None
    assert run_of("resnet18") is None


def test_what_was_handed_on_is_no_run(run: Path) -> None:
    (run / "metrics.jsonl").unlink()  # `push` leaves it out
    assert run_of(run) is None


def test_one_folder_has_many_paths(run: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(run)
    assert is_own_test_split(run, f"folder:{tmp_path}/pets", None)
    assert is_own_test_split(run, "folder:../pets", None)
    assert is_own_test_split(run, "folder:pets", tmp_path)
    assert not is_own_test_split(run, "folder:pets", None)
    assert not is_own_test_split(run, "digits", None)


def test_official_files_are_the_same_anywhere(run: Path) -> None:
    (run / "config.json").write_text('{"source": "mnist", "root": "/data"}')
    assert is_own_test_split(run, "mnist", "/elsewhere")


def test_readings_add_up_to_that_of_the_training(run: Path) -> None:
    assert (readings(run), count_readings(run)) == ([], 0)
    (run / "test.json").write_text("{}")
    assert count_readings(run) == 1
    assert note_reading(run, {"protocol": "center"}) == 2
    assert note_reading(run, {"protocol": "10crop"}) == 3
    assert [reading["protocol"] for reading in readings(run)] == ["center", "10crop"]
    assert readings(run)[0]["when"].endswith("+00:00")


@pytest.mark.parametrize("text", ["{", "1\n"])
def test_a_broken_list_is_an_error_and_stays(run: Path, text: str) -> None:
    (run / "test_reads.jsonl").write_text(text)
    with pytest.raises(FileError, match=r"test_reads.jsonl"):
        note_reading(run, {})
    assert (run / "test_reads.jsonl").read_text() == text


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_run_without_a_source_says_so(run: Path, text: str) -> None:
    (run / "config.json").write_text(text)
    with pytest.raises(FileError, match="does not tell which images"):
        is_own_test_split(run, "digits", None)
