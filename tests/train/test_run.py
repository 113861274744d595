"""A run and its folder: everything is there, nothing is lost, nothing is chosen on the test set."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import torch

import convatlas as ca
import convatlas.train.run as run_module
from convatlas.data.preprocess import Preprocessing
from convatlas.data.sources import Source, open_source
from convatlas.errors import FileError, InputError
from convatlas.evaluate.evaluation import evaluate
from convatlas.train.checkpoint import Checkpoints, CheckpointWarning
from convatlas.train.events import Download, EpochDone, Notice
from convatlas.train.options import RunOptions
from convatlas.train.run import start_run
from convatlas.train.signals import StoppedError
from convatlas.train.step import DivergedError

NET = "lenet5_modern"
CHANGES = {"batch_size": 16}  # four steps an epoch
STEPS = 4


def run(pictures, out, **named):
    options = {"recipe_name": "digits", "epochs": 3, "changes": CHANGES, **named}
    return start_run(NET, pictures, out=out, **options)


def stop_after(steps):
    """Say stop at the `steps`-th question and at every one after it."""
    asked = iter(range(1, 10**6))
    return lambda: next(asked) >= steps


def digest(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def metrics(folder):
    timed = ("seconds", "images_per_second")
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in timed} for line in lines]


def tree(folder):
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def undisturbed(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    run(pictures, folder)
    return folder


class TestFolder:
    def test_what_lies_in_it(self, undisturbed):
        names = sorted(path.name for path in undisturbed.iterdir())
        assert names == [
            "best.safetensors",
            "checkpoints",
            "config.json",
            "metrics.jsonl",
            "model.safetensors",
            "test.json",
        ]
        assert [record["epoch"] for record in metrics(undisturbed)] == [1, 2, 3]
        assert len(list((undisturbed / "checkpoints").iterdir())) == 2

    def test_the_weights_are_the_last_epochs(self, undisturbed, pictures):
        model, metadata = ca.load(undisturbed)
        assert metadata["classes"] == ["bar", "dot", "ring"]
        assert metadata["source"] == pictures
        assert metadata["recipe"]["kind"] == "Recipe"
        source = open_source(pictures)
        preprocessing = Preprocessing.from_dict(metadata["preprocessing"])
        val = evaluate(model, source.val, preprocessing, metadata["classes"])
        assert val.top1_accuracy == metrics(undisturbed)[-1]["val_accuracy"]
        assert val.loss == pytest.approx(metrics(undisturbed)[-1]["val_loss"], rel=1e-5)
        test = evaluate(model, source.test, preprocessing, metadata["classes"])
        told = json.loads((undisturbed / "test.json").read_text())
        assert test.top1_accuracy == told["top1_accuracy"]
        assert metadata["metrics"]["test"]["top1_accuracy"] == told["top1_accuracy"]

    def test_the_best_validation_is_kept_too(self, undisturbed, pictures):
        accuracies = [record["val_accuracy"] for record in metrics(undisturbed)]
        model, metadata = ca.load(undisturbed / "best.safetensors")
        told = metadata["metrics"]
        assert told["val_accuracy"] == max(accuracies)
        assert told["epochs"] == accuracies.index(max(accuracies)) + 1
        assert "test" not in told
        preprocessing = Preprocessing.from_dict(metadata["preprocessing"])
        val = evaluate(model, open_source(pictures).val, preprocessing, metadata["classes"])
        assert val.top1_accuracy == max(accuracies)

    def test_equal_runs_give_equal_files(self, undisturbed, pictures, tmp_path):
        result = run(pictures, tmp_path / "again")
        assert digest(tmp_path / "again") == digest(undisturbed)
        assert result.state == "finished"
        assert result.epochs == 3
        assert result.val_accuracy == metrics(undisturbed)[-1]["val_accuracy"]
        assert result.test["count"] == 12
        json.dumps(result.to_dict())

    def test_another_seed_gives_other_weights(self, undisturbed, pictures, tmp_path):
        run(pictures, tmp_path / "other", seed=1)
        assert digest(tmp_path / "other") != digest(undisturbed)

    def test_the_average_is_what_is_kept(self, pictures, tmp_path):
        run(pictures, tmp_path / "run", changes={**CHANGES, "ema": 0.9})
        model, _ = ca.load(tmp_path / "run")
        newest = run_module.RunFiles(tmp_path / "run").checkpoints.newest()
        bias = model.state_dict()["head.OUTPUT.bias"]
        assert torch.equal(bias, newest["average"]["head.OUTPUT.bias"])
        assert not torch.equal(bias, newest["model"]["head.OUTPUT.bias"])

    def test_the_callers_chance_is_left_alone(self, pictures, tmp_path):
        before = torch.get_rng_state()
        run(pictures, tmp_path / "run", epochs=1)
        assert torch.equal(before, torch.get_rng_state())


class Counted:
    """A split that counts how often each image is read."""

    def __init__(self, split):
        self.split, self.reads = split, [0] * len(split)

    def __len__(self):
        return len(self.split)

    def __getattr__(self, name):
        return getattr(self.split, name)

    def image(self, i):
        self.reads[i] += 1
        return self.split.image(i)

    def view(self, i):
        self.reads[i] += 1
        return self.split.view(i)


def test_the_test_images_are_read_once(pictures, tmp_path, monkeypatch):
    source = open_source(pictures)
    counted = Source(source.card, source.train, Counted(source.val), Counted(source.test))
    monkeypatch.setattr("convatlas.train.plan.open_source", lambda *_, **__: counted)
    result = run(pictures, tmp_path / "run", stop=stop_after(2 * STEPS + 1))
    assert result.state == "stopped"
    assert set(counted.test.reads) == {0}
    run(pictures, tmp_path / "run", resume=True)
    run(pictures, tmp_path / "run", resume=True)
    assert set(counted.test.reads) == {1}
    assert set(counted.val.reads) == {3}


class TestResuming:
    @pytest.mark.parametrize("asked", [1, 4, 5, 7, 12, 14])
    def test_a_stopped_run_goes_on_as_if_nothing_had_been(
        self, asked, undisturbed, pictures, tmp_path
    ):
        events = []
        first = run(pictures, tmp_path, stop=stop_after(asked))
        assert first.state == "stopped"
        assert first.test is None
        assert not (tmp_path / "model.safetensors").exists()
        second = run(pictures, tmp_path, resume=True, progress=events.append)
        assert second.state == "finished"
        assert digest(tmp_path) == digest(undisturbed)
        assert metrics(tmp_path) == metrics(undisturbed)
        assert "goes on from step" in events[0].text

    def test_fields_of_the_network_that_are_lists(self, pictures, tmp_path):
        small = {"overrides": {"widths": (4, 4, 4), "blocks": (1, 1, 1)}, "recipe_name": None}

        def train(**named):
            return start_run("resnet20_cifar", pictures, out=tmp_path, epochs=1, **small, **named)

        assert train(stop=stop_after(1)).state == "stopped"
        assert train(resume=True).state == "finished"

    def test_fewer_images_at_once(self, undisturbed, pictures, tmp_path):
        run(pictures, tmp_path, stop=stop_after(STEPS + 1))
        for size in (8, 4):  # each for less memory than before
            stopped = run(
                pictures,
                tmp_path,
                resume=True,
                options=RunOptions(micro_batch=size),
                stop=stop_after(1),
            )
            assert stopped.state == "stopped"
            content = Checkpoints(tmp_path / "checkpoints").newest()
            assert content["micro_batch"] == size
        run(pictures, tmp_path, resume=True, options=RunOptions(micro_batch=8))
        parts, whole = (ca.load(path)[0].state_dict() for path in (tmp_path, undisturbed))
        for name, tensor in whole.items():
            torch.testing.assert_close(parts[name], tensor, rtol=0, atol=1e-5)

    def test_records_after_the_checkpoint_are_cut_off(self, undisturbed, pictures, tmp_path):
        run(pictures, tmp_path, stop=stop_after(STEPS + 3))
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write('{"epoch": 2, "step": 8}\n{"epoch": 3, "st')
        run(pictures, tmp_path, resume=True)
        assert metrics(tmp_path) == metrics(undisturbed)

    def test_a_finished_run_is_left_alone(self, undisturbed, pictures, tmp_path):
        shutil.copytree(undisturbed, tmp_path / "run")
        events, before = [], tree(tmp_path / "run" / "checkpoints")
        result = run(pictures, tmp_path / "run", resume=True, progress=events.append)
        assert result.state == "finished"
        assert [event.text for event in events] == [
            f"the run in {tmp_path / 'run'} is finished: nothing to do"
        ]
        assert tree(tmp_path / "run" / "checkpoints") == before
        assert digest(tmp_path / "run") == digest(undisturbed)

    def test_without_a_checkpoint_it_starts_afresh(self, undisturbed, pictures, tmp_path):
        events = []
        run(pictures, tmp_path / "new", resume=True, progress=events.append)
        assert "holds no run yet: starting from the beginning" in events[0].text
        assert digest(tmp_path / "new") == digest(undisturbed)

    def test_a_damaged_checkpoint_gives_way_to_the_older(self, undisturbed, pictures, tmp_path):
        run(pictures, tmp_path, stop=stop_after(STEPS + 3))
        newest = max((tmp_path / "checkpoints").iterdir())
        newest.write_bytes(newest.read_bytes()[:-100])
        with pytest.warns(CheckpointWarning, match=newest.name):
            run(pictures, tmp_path, resume=True)
        assert digest(tmp_path) == digest(undisturbed)
        assert metrics(tmp_path) == metrics(undisturbed)

    def test_all_checkpoints_damaged(self, undisturbed, pictures, tmp_path):
        run(pictures, tmp_path, stop=stop_after(STEPS + 3))
        for checkpoint in (tmp_path / "checkpoints").iterdir():
            checkpoint.write_bytes(b"")
        events = []
        with pytest.warns(CheckpointWarning):
            run(pictures, tmp_path, resume=True, progress=events.append)
        assert "holds no checkpoint" in events[0].text
        assert digest(tmp_path) == digest(undisturbed)

    def test_what_a_killed_process_left_half_written_goes(self, pictures, tmp_path):
        run(pictures, tmp_path, stop=stop_after(1))
        for name in (".model.safetensors.x1.safetensors.tmp", ".metrics.jsonl.x2.jsonl.tmp"):
            (tmp_path / name).write_text("half")
        (tmp_path / "checkpoints" / ".step-00000004-00.pt.x3.pt.tmp").write_text("half")
        (tmp_path / ".mine.tmp").write_text("keep")
        run(pictures, tmp_path, resume=True)
        assert sorted(path.name for path in tmp_path.rglob("*.tmp")) == [".mine.tmp"]

    @pytest.mark.parametrize(
        ("other", "named"),
        [
            ({"seed": 1}, "seed was 0, is 1"),
            ({"epochs": 4}, "recipe.epochs was 3, is 4"),
            ({"changes": {}}, "recipe.batch_size was 16, is"),
            ({"changes": {**CHANGES, "optimizer.lr": 0.5}}, "recipe.optimizer.lr was"),
            ({"recipe_name": "mnist"}, "recipe_name was 'digits', is 'mnist'"),
        ],
    )
    def test_other_settings_are_refused(self, other, named, undisturbed, pictures, tmp_path):
        shutil.copytree(undisturbed, tmp_path / "run")
        before = tree(tmp_path / "run")
        with pytest.raises(InputError) as caught:
            run(pictures, tmp_path / "run", resume=True, **other)
        assert "was started with other settings" in str(caught.value)
        assert named in str(caught.value)
        assert tree(tmp_path / "run") == before

    def test_other_images_are_refused(self, undisturbed, tmp_path):
        shutil.copytree(undisturbed, tmp_path / "run")
        with pytest.raises(InputError, match=r"images\.train was 60, is 1257"):
            run("digits", tmp_path / "run", resume=True)

    def test_a_damaged_config_is_named(self, undisturbed, pictures, tmp_path):
        shutil.copytree(undisturbed, tmp_path / "run")
        (tmp_path / "run" / "config.json").write_text("{")
        with pytest.raises(FileError, match=r"config\.json is damaged"):
            run(pictures, tmp_path / "run", resume=True)


class TestStarting:
    def test_a_folder_in_use_is_refused(self, undisturbed, pictures):
        before = tree(undisturbed)
        with pytest.raises(InputError, match=r"already holds a run: add --resume .*--overwrite"):
            run(pictures, undisturbed)
        assert tree(undisturbed) == before

    def test_overwriting_removes_the_run_and_nothing_else(self, undisturbed, pictures, tmp_path):
        shutil.copytree(undisturbed, tmp_path / "run")
        (tmp_path / "run" / "notes.txt").write_text("mine")
        (tmp_path / "run" / "diverged.json").write_text("of the former run")
        (tmp_path / "run" / "test_reads.jsonl").write_text("{}")
        run(pictures, tmp_path / "run", overwrite=True, epochs=1)
        assert not (tmp_path / "run" / "test_reads.jsonl").exists()
        assert len(metrics(tmp_path / "run")) == 1
        assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
        assert not (tmp_path / "run" / "diverged.json").exists()

    def test_a_mistake_overwrites_nothing(self, undisturbed, pictures, tmp_path):
        shutil.copytree(undisturbed, tmp_path / "run")
        before = tree(tmp_path / "run")
        with pytest.raises(InputError, match=r"^optimizer: "):
            run(pictures, tmp_path / "run", overwrite=True, changes={"optimizer.eps": -1})
        assert tree(tmp_path / "run") == before

    def test_mistakes_leave_nothing_behind(self, pictures, tmp_path):
        for wrong in ({"changes": {"batch_size": 0}}, {"changes": {"optimizer.eps": -1}}):
            with pytest.raises(InputError):
                run(pictures, tmp_path / "run", **wrong)
        for wrong in ({"input_size": 8}, {"groups": 5}):
            with pytest.raises(InputError):
                start_run("alexnet", pictures, out=tmp_path / "run", overrides=wrong)
        assert not (tmp_path / "run").exists()

    def test_a_folder_that_cannot_be_made(self, pictures, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(FileError, match="can't write"):
            run(pictures, tmp_path / "file" / "run")

    def test_divergence_keeps_the_last_good_checkpoint(self, pictures, tmp_path):
        with pytest.raises(DivergedError, match="at a learning rate of"):
            run(pictures, tmp_path, changes={**CHANGES, "optimizer.lr": 1e30})
        content = run_module.RunFiles(tmp_path).checkpoints.newest()
        assert all(torch.isfinite(t).all() for t in content["model"].values())
        assert not (tmp_path / "model.safetensors").exists()

    def test_a_stop_during_a_download(self, tmp_path, monkeypatch):
        def downloading(text, *, root, progress):
            progress("images.gz", 10, None)

        monkeypatch.setattr("convatlas.train.plan.open_source", downloading)
        events = []
        with pytest.raises(StoppedError):
            run("mnist", tmp_path / "run", stop=lambda: True)
        with pytest.raises(AttributeError):  # `downloading` gives no source
            run("mnist", tmp_path / "run", progress=events.append)
        assert events == [Download("images.gz", 10, None)]
        assert not (tmp_path / "run").exists()


class TestFullDisk:
    @pytest.fixture
    def no_space(self, monkeypatch):
        """Let nothing be written whose name has this in it."""

        def forbid(part):
            from convatlas import files

            real = files.os.fsync

            def fsync(handle):
                if part in Path(f"/proc/self/fd/{handle}").readlink().name:
                    raise OSError(28, "No space left on device")
                real(handle)

            monkeypatch.setattr(files.os, "fsync", fsync)

        yield forbid
        monkeypatch.undo()

    @pytest.mark.parametrize(
        "file", ["step-00000008", "metrics.jsonl", "test.json", "model.safetensors"]
    )
    def test_one_line_and_a_run_that_goes_on(
        self, file, no_space, undisturbed, pictures, tmp_path, monkeypatch
    ):
        run(pictures, tmp_path, stop=stop_after(STEPS + 2))
        no_space(file)
        with pytest.raises(FileError, match=f"can't write .*{file}.*: No space left on device"):
            run(pictures, tmp_path, resume=True)
        assert not list(tmp_path.rglob("*.tmp"))
        monkeypatch.undo()
        run(pictures, tmp_path, resume=True)
        assert digest(tmp_path) == digest(undisturbed)
        assert metrics(tmp_path) == metrics(undisturbed)

    def test_a_limit_of_the_system(self, pictures, tmp_path, small_disk):
        path = tmp_path / "run"
        start = re.escape(f"can't write {path / 'checkpoints' / 'step-'}")
        with small_disk(50_000), pytest.raises(FileError, match=f"^{start}.*: File too large$"):
            run(pictures, path)
        assert sorted(p.name for p in path.rglob("*")) == ["checkpoints", "config.json"]


def test_events_of_a_run(pictures, tmp_path):
    events = []
    run(pictures, tmp_path, progress=events.append)
    assert not any(isinstance(event, Notice) for event in events)
    assert sum(isinstance(event, EpochDone) for event in events) == 3
