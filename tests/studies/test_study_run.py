import json
from dataclasses import replace

import pytest
import torch
from tiny_study import EPOCHS, STUDY, SUBSET, make

from convatlas.errors import FileError, InputError
from convatlas.recipe import SGD, Recipe
from convatlas.studies.checks import exactly
from convatlas.studies.events import Going, Measured
from convatlas.studies.lab import training_case
from convatlas.studies.measurement import FOLDER
from convatlas.studies.run import run_study
from convatlas.studies.study import Case
from convatlas.train.signals import StoppedError

pytest.importorskip("matplotlib", reason="a study draws a chart")


def files(folder):
    return {path.name: path.read_text() for path in sorted((folder / FOLDER).iterdir())}


def values(folder):
    return {name: json.loads(text)["measured"] for name, text in files(folder).items()}


def without_time(measured):
    return {key: value for key, value in measured.items() if key != "seconds"}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    events = []
    folder = tmp_path_factory.mktemp("study")
    result = run_study(STUDY, folder / "tiny", seeds=(0, 1), progress=events.append)
    return result, events


def test_measures_each_case_for_each_seed_and_judges(done):
    result, events = done
    assert result.passed
    assert set(files(result.folder)) == {f"{c}-seed{s}.json" for c in EPOCHS for s in (0, 1)}
    content = json.loads((result.folder / "result.json").read_text())
    assert content["verdict"] == "passed"
    assert content["images"] == {
        "named": "digits",
        "read": "digits",
        "stands_in": False,
        "manifest": content["images"]["manifest"],
    }
    assert [len(rows) for rows in content["cases"].values()] == [2, 2]
    assert (result.folder / "chart.svg").read_text().startswith("<?xml")
    assert not (result.folder / "unfinished").exists()
    assert [e.done for e in events if isinstance(e, Measured)] == [1, 2, 3, 4]
    assert sum(isinstance(e, Going) for e in events) == 2 * sum(EPOCHS.values())


def test_curves_have_a_value_for_each_epoch_and_the_last_one_counts(done):
    result, _ = done
    for name, epochs in EPOCHS.items():
        for row in result.results.measured[name]:
            assert len(row["train_error_curve"]) == epochs
            assert row["train_error"] == row["train_error_curve"][-1]
            assert row["params"] == 650


def test_what_is_measured_depends_on_the_seed_alone(done, tmp_path):
    result, _ = done
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(17)  # the caller's chance is not a study's
        again = run_study(STUDY, tmp_path, seeds=(1,))
    for name in EPOCHS:
        first, second = result.results.measured[name][1], again.results.measured[name][0]
        assert without_time(first) == without_time(second)
        assert first != result.results.measured[name][0]


def test_stopped_at_any_epoch_goes_on_to_the_same_bits(done, tmp_path):
    result, _ = done
    stops, asked = 0, 0

    def stop():
        nonlocal asked
        asked += 1
        return asked % 7 == 0

    while True:
        try:
            run_study(STUDY, tmp_path, seeds=(0, 1), resume=True, stop=stop)
            break
        except StoppedError:
            stops += 1
            assert stops < 40
    assert stops > 3
    whole, resumed = values(result.folder), values(tmp_path)
    assert {k: without_time(v) for k, v in whole.items()} == {
        k: without_time(v) for k, v in resumed.items()
    }


def test_takes_up_what_is_there_and_measures_only_what_has_changed(done, tmp_path):
    run_study(STUDY, tmp_path, seeds=(0,))
    before, events = files(tmp_path), []
    run_study(STUDY, tmp_path, seeds=(0, 1), resume=True, progress=events.append)
    assert [e.seconds > 0 for e in events if isinstance(e, Measured)] == [False, False, True, True]
    assert before.items() <= files(tmp_path).items()

    def other(scale):
        short, long = STUDY.cases(scale)
        return [short, replace(long, settings={**long.settings, "more": 1})]

    run_study(replace(STUDY, cases=other), tmp_path, seeds=(0,), resume=True)
    after = files(tmp_path)
    assert after["short-seed0.json"] == before["short-seed0.json"]
    assert after["long-seed0.json"] != before["long-seed0.json"]


def test_a_folder_with_a_study_is_not_written_over_by_chance(tmp_path):
    run_study(STUDY, tmp_path, seeds=(0,))
    with pytest.raises(InputError, match="--resume takes up what is done, --overwrite"):
        run_study(STUDY, tmp_path, seeds=(0,))
    run_study(STUDY, tmp_path, seeds=(1,), overwrite=True)
    assert set(files(tmp_path)) == {"short-seed1.json", "long-seed1.json"}


def test_a_damaged_measurement_is_named(tmp_path):
    run_study(STUDY, tmp_path, seeds=(0,))
    path = tmp_path / FOLDER / "short-seed0.json"
    path.write_text("{")
    with pytest.raises(FileError, match=r"short-seed0\.json is damaged"):
        run_study(STUDY, tmp_path, seeds=(0,), resume=True)


@pytest.mark.parametrize("seeds", [(), (1, 1), (-1,)])
def test_refuses_seeds_that_are_no_seeds(seeds, tmp_path):
    with pytest.raises(InputError, match="different numbers from 0 on"):
        run_study(STUDY, tmp_path, seeds=seeds)
    assert not list(tmp_path.iterdir())


def test_a_number_that_is_not_finite_is_never_written(tmp_path):
    def cases(scale):
        return [Case("nan", lambda _: {"train_error": float("nan")}, {})]

    with pytest.raises(InputError, match="nan, seed 0"):
        run_study(replace(STUDY, cases=cases), tmp_path, seeds=(0,))
    assert not list(tmp_path.rglob("*.json"))


def test_a_network_that_diverges_has_the_error_of_guessing(tmp_path):
    def cases(scale):
        recipe = Recipe("a test", 20, 2, SGD(1e38))
        return [training_case("wild", make, recipe, SUBSET)]

    def judge(results):
        return [exactly("it diverges", results.values("wild", "diverged"), 1)]

    study = replace(STUDY, cases=cases, judge=judge)
    [row] = run_study(study, tmp_path, seeds=(0,)).results.measured["wild"]
    assert row["diverged"]
    assert row["test_error"] == row["train_error"] == pytest.approx(0.9)
    assert row["train_loss"] is None
    assert len(row["train_loss_curve"]) == 2
