"""Runs in folders: whole ones, those under way, broken ones, and what tells them apart."""

import json

import pytest

from convatlas.errors import FileError, InputError
from convatlas.report.curves import draw_curves
from convatlas.report.runs import differences, find_runs, read_progress


def write_run(folder, *, accuracies=(0.5, 0.75), test=None, **config):
    folder.mkdir(parents=True)
    settings = {"architecture": "lenet5", "source": "digits", "seed": 0, "recipe": {"epochs": 2}}
    (folder / "config.json").write_text(json.dumps(settings | config))
    lines = [
        {"epoch": i, "val_accuracy": v, "val_loss": 1 - v, "train_loss": 1.0}
        for i, v in enumerate(accuracies, start=1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if test is not None:
        (folder / "test.json").write_text(json.dumps(test))
        (folder / "model.safetensors").touch()
    return folder


def test_finds_runs_at_any_depth_and_tells_how_far_they_are(tmp_path):
    write_run(tmp_path / "b" / "deep", test={"top1_accuracy": 0.9, "mistakes": []})
    write_run(tmp_path / "a", accuracies=())
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "config.json").write_text("{}")  # a model of the hub, no run
    runs, broken = find_runs([tmp_path, tmp_path / "a"])
    assert [run.path.name for run in runs] == ["a", "deep"]
    assert broken == {}
    under_way, done = runs
    assert (under_way.state, under_way.watched, under_way.tested) == ("unfinished", None, None)
    assert (done.state, done.watched) == ("finished", ("val_accuracy", 0.75))
    assert done.tested == ("top1_accuracy", 0.9)
    assert done.curve("val_accuracy") == [(1, 0.5), (2, 0.75)]
    assert json.loads(json.dumps(done.to_dict()))["test"] == {"top1_accuracy": 0.9}


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "{", "config.json is damaged"),
        ("config.json", "[]", "names no architecture"),
        ("metrics.jsonl", "{]\n", "metrics.jsonl is damaged"),
        ("metrics.jsonl", '{"loss": 1}\n', "not an epoch"),
        ("test.json", "[1]", "not a JSON object"),
    ],
)
def test_a_broken_run_is_named_and_hides_no_other(tmp_path, file, content, message):
    broken = write_run(tmp_path / "broken", test={})
    write_run(tmp_path / "whole")
    (broken / file).write_text(content)
    with pytest.raises(FileError, match=message):
        read_progress(broken)
    runs, reasons = find_runs([tmp_path])
    assert [run.path.name for run in runs] == ["whole"]
    assert message in reasons[broken]


def test_no_such_folder(tmp_path):
    with pytest.raises(FileError, match="no folder"):
        find_runs([tmp_path / "nowhere"])


def test_differences_are_the_settings_alone(tmp_path):
    folders = [
        write_run(
            tmp_path / str(seed),
            seed=seed,
            versions={"torch": str(seed)},
            recipe={"epochs": 2, "optimizer": {"lr": 0.1 * (1 + seed // 2)}},
        )
        for seed in range(3)
    ]
    runs = [read_progress(folder) for folder in folders]
    assert differences(runs) == {"seed": [0, 1, 2], "recipe.optimizer.lr": [0.1, 0.1, 0.2]}
    assert differences([runs[0], runs[0]]) == {}
    with pytest.raises(InputError, match="at least two runs, not 1"):
        differences(runs[:1])


def test_curves_are_drawn_equal_and_refused_with_a_reason(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    runs = [read_progress(write_run(tmp_path / name)) for name in ("a", "b")]
    for file in ("one.svg", "two.svg"):
        draw_curves(runs, ["a", "b"], tmp_path / file)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    empty = read_progress(write_run(tmp_path / "empty", accuracies=()))
    with pytest.raises(InputError, match="no run has done an epoch"):
        draw_curves([empty], ["empty"], tmp_path / "none.svg")
    with pytest.raises(InputError, match="at most 20"):
        draw_curves(runs * 11, [""] * 22, tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()
