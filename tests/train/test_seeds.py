import json
import statistics

import pytest

from convatlas.train.events import Notice
from convatlas.train.seeds import start_runs

OPTIONS = {"recipe_name": "digits", "epochs": 1, "changes": {"batch_size": 16}}


def test_several_seeds_share_a_folder(pictures, tmp_path):
    events = []
    result = start_runs(
        "lenet5_modern", pictures, out=tmp_path, seeds=range(3), progress=events.append, **OPTIONS
    )
    assert [run.seed for run in result.runs] == [0, 1, 2]
    assert [run.folder for run in result.runs] == [
        tmp_path,
        tmp_path / "seed-1",
        tmp_path / "seed-2",
    ]
    told = json.loads((tmp_path / "seeds.json").read_text())
    assert told == json.loads(json.dumps(result.to_dict()))
    accuracies = [run.test["top1_accuracy"] for run in result.runs]
    spread = told["test_top1_accuracy"]
    assert spread["mean"] == pytest.approx(sum(accuracies) / 3)
    assert spread["std"] == pytest.approx(statistics.stdev(accuracies))
    half = 4.302653 * spread["std"] / 3**0.5  # Student's t of two degrees of freedom
    assert spread["interval"] == pytest.approx([spread["mean"] - half, spread["mean"] + half])
    assert (spread["min"], spread["max"]) == (min(accuracies), max(accuracies))
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert notices == [f"seed {i}: run {i + 1} of 3" for i in range(3)]


def test_one_seed_is_a_plain_run(pictures, tmp_path):
    result = start_runs("lenet5_modern", pictures, out=tmp_path, seeds=[4], **OPTIONS)
    assert result.complete
    assert not (tmp_path / "seeds.json").exists()
    told = result.to_dict()["test_top1_accuracy"]
    assert (told["std"], told["interval"]) == (0.0, None)


def test_a_stop_ends_them_all_and_they_go_on(pictures, tmp_path):
    asked = iter(range(1000))
    options = {"out": tmp_path, "seeds": range(3), **OPTIONS}
    stopped = start_runs("lenet5_modern", pictures, stop=lambda: next(asked) >= 8, **options)
    assert [run.state for run in stopped.runs] == ["finished", "stopped"]
    assert not stopped.complete
    assert stopped.to_dict()["state"] == "stopped"
    assert not (tmp_path / "seeds.json").exists()
    events = []
    resumed = start_runs("lenet5_modern", pictures, resume=True, progress=events.append, **options)
    notices = [event.text for event in events if isinstance(event, Notice)]
    # that the third has no run yet goes without saying
    assert [text for text in notices if "run in" in text] == notices[1:4:2]
    assert not any("holds no run yet" in text for text in notices)
    assert resumed.complete
    assert len(resumed.results) == 3
