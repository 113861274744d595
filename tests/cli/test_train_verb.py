"""`convatlas train`: what it prints, where, and how it ends."""

import hashlib
import json
import os
import re
import shlex
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image

import convatlas as ca
import convatlas.train.step as step
from convatlas.cli import main, train_progress
from convatlas.train.events import Download, EpochDone, StepDone


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 3), ("test", 3)):
        for name, level in (("dark", 40), ("light", 160)):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 60, (10, 10), np.uint8) + np.uint8(level)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.png")
    return f"folder:{folder}"


@pytest.fixture
def call(capsys):
    """Give `call(words)`: exit code, standard output, standard error."""

    def call(*words):
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return caught.value.code, captured.out, captured.err

    return call


def words(source, out, *more):
    quick = ("--recipe", "digits", "--epochs", 2, "--set", "batch_size=8")
    return ("train", "lenet5_modern", "--data", source, *quick, "--out", out, *more)


def digest(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_a_run_from_start_to_end(call, source, tmp_path):
    out = tmp_path / "run"
    code, stdout, stderr = call(*words(source, out))
    assert code == 0
    test = json.loads((out / "test.json").read_text())
    assert f"seed 0: test {test['top1_accuracy']:.2%} of 6 images" in stdout
    assert f"run folder  {out}" in stdout
    assert f"convatlas evaluate {out} --data {source}" in stdout
    assert (out / "report.html").is_file()
    assert str(out / "report.html") in stdout
    assert stderr.splitlines()[-1].startswith("epoch 2/2  loss ")

    code, stdout, stderr = call(*words(source, out))
    assert (code, stdout) == (2, "")
    assert "add --resume to go on with it" in stderr
    assert stderr.count("\n") == 1

    code, stdout, stderr = call(*words(source, out, "--resume", "--json"))
    assert code == 0
    assert "is finished: nothing to do" in stderr
    assert json.loads(stdout)["test"]["top1_accuracy"] == test["top1_accuracy"]

    code, _, stderr = call(*words(source, out, "--resume", "--seed", 3))
    assert code == 2
    assert "seed was 0, is 3" in stderr


def test_trackers_and_the_card(call, source, tmp_path):
    out = tmp_path / "run"
    call(*words(source, out))
    assert (out / "MODEL_CARD.md").read_text().startswith("---\nlibrary_name: convatlas")
    assert len(list(out.glob("tensorboard/events.out.tfevents.*"))) == 1
    assert call(*words(source, out, "--overwrite", "--track", "none"))[0] == 0
    assert not list(out.glob("tensorboard/*"))
    code, _, stderr = call(*words(source, out, "--overwrite", "--track", "tensorbord"))
    assert (code, stderr.count("\n")) == (2, 1)
    assert "did you mean: tensorboard?" in stderr
    assert (out / "model.safetensors").exists()


def test_what_it_begins_with_and_how_it_computes(call, source, tmp_path):
    assert call(*words(source, tmp_path / "first"))[0] == 0
    out = tmp_path / "second"
    more = ("--weights", tmp_path / "first", "--freeze", "stages.C1, stages.C3", "--freeze")
    more += ("stages.C5", "--layer-decay", 0.5, "--micro-batch", 3, "--precision", "bf16")
    assert call(*words(source, out, *more, "--deterministic"))[0] == 0
    config = json.loads((out / "config.json").read_text())
    assert config["start"] == {
        "weights": str(tmp_path / "first"),
        "freeze": ["stages.C1", "stages.C3", "stages.C5"],
        "layer_decay": 0.5,
    }
    asked = {"precision": "bf16", "micro_batch": 3, "deterministic": True, "compile": False}
    assert asked.items() <= config["options"].items()
    first, second = (ca.load(folder)[0].state_dict() for folder in (tmp_path / "first", out))
    changed = {name for name in first if not torch.equal(first[name], second[name])}
    assert changed == {name for name in first if name.startswith("head.")}


def test_changed_images_are_accepted_when_asked(call, source, tmp_path):
    folder = tmp_path / "pictures"
    shutil.copytree(source.removeprefix("folder:"), folder)
    out, source = tmp_path / "run", f"folder:{folder}"
    assert call(*words(source, out))[0] == 0
    (folder / "train" / "dark" / "0.png").unlink()
    code, _, stderr = call(*words(source, out, "--resume"))
    assert code == 2
    assert "go on with --accept-data" in stderr
    assert call(*words(source, out, "--resume", "--accept-data"))[0] == 0


def test_a_terminal_gets_a_bar(call, source, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes any stream for a terminal
    monkeypatch.setenv("COLUMNS", "100")
    code, stdout, stderr = call(*words(source, tmp_path / "run", "--resume", "--json"))
    assert code == 0
    assert json.loads(stdout)["state"] == "finished"
    assert "holds no run yet: starting from the beginning" in stderr
    assert "\x1b[" in stderr
    assert re.search(r"epoch 2/2.*loss \d\.\d{3}  train \d+\.\d%  val \d+\.\d%", stderr)


def test_lines_are_not_too_many(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(train_progress.time, "monotonic", lambda: clock[0])
    record = {
        "train_loss": 0.5,
        "train_accuracy": 0.75,
        "val_accuracy": 0.5,
        "images_per_second": 1234.5,
    }
    with train_progress.show_progress() as show:
        for second in range(24):
            clock[0] = float(second)
            show(Download("images.gz", second * 1_000_000, 30_000_000 if second else None))
        for epoch in range(1, 9):
            for step in range(1, 4):
                clock[0] += 0.25
                show(StepDone(epoch, 8, step, 3, loss=0.5, accuracy=0.75, images_per_second=10.0))
            show(EpochDone(8, {"epoch": epoch, **record}))
        clock[0] += 11
        show(StepDone(1, 2, 1, 3, loss=0.25, accuracy=1.0, images_per_second=10.0))
    assert capsys.readouterr().err.splitlines() == [
        "downloading images.gz: 10.0 of 30.0 MB",
        "downloading images.gz: 20.0 of 30.0 MB",
        *(
            f"epoch {epoch}/8  loss 0.5000  accuracy 75.00%  validation 50.00%  1,234 images/s  "
            f"{left} left"
            for epoch, left in ((1, "0:05"), (4, "0:03"), (7, "0:01"), (8, "0:00"))
        ),
        "epoch 1/2  step 1/3  loss 0.2500  accuracy 100.00%  10 images/s",
    ]


def test_several_seeds(call, source, tmp_path):
    code, stdout, _ = call(*words(source, tmp_path / "run", "--seeds", 2))
    assert code == 0
    assert "mean of 2 seeds" in stdout
    assert (tmp_path / "run" / "seed-1" / "report.html").is_file()
    code, stdout, _ = call(*words(source, tmp_path / "run", "--seeds", 2, "--resume", "--json"))
    assert len(json.loads(stdout)["runs"]) == 2


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_the_state_and_tells_how_to_go_on(
    number, exit_code, call, source, tmp_path, monkeypatch
):
    assert call(*words(source, tmp_path / "undisturbed"))[0] == 0
    take_step = step.take_step

    def take_step_and_signal(state, *arguments):
        take_step(state, *arguments)
        if state.step == 4:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(step, "take_step", take_step_and_signal)
    out = tmp_path / "my run"
    code, stdout, stderr = call(*words(source, out))
    assert (code, stdout) == (exit_code, "")
    said, _, command = stderr.splitlines()[-1].partition("to go on: convatlas ")
    assert said == f"stopped by {number.name}; "
    monkeypatch.undo()
    code, _, stderr = call(*shlex.split(command))
    assert "goes on from step 4" in stderr
    assert code == 0
    assert digest(out) == digest(tmp_path / "undisturbed")


def test_the_second_interrupt_ends_it_at_once(call, source, tmp_path, monkeypatch):
    def take_step(*_):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(step, "take_step", take_step)
    code, _, stderr = call(*words(source, tmp_path / "run"))
    assert code == 130
    assert "Traceback" not in stderr


@pytest.mark.filterwarnings("default::convatlas.train.checkpoint.CheckpointWarning")
def test_a_damaged_checkpoint_is_one_line(call, source, tmp_path):
    out = tmp_path / "run"
    assert call(*words(source, out))[0] == 0
    max((out / "checkpoints").iterdir()).write_bytes(b"")
    code, _, stderr = call(*words(source, out, "--resume"))
    assert code == 0
    first, second, *_ = stderr.splitlines()
    assert first.startswith(str(out / "checkpoints" / "step-"))
    assert first.endswith("going back to an older checkpoint")
    assert second == f"the run in {out} goes on from step 3"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--set", "optimizer.lr=1e30"), "try a lower optimizer.lr"),
        (("--set", "optimizer.rl=1"), "no recipe field named 'optimizer.rl'"),
        (("--set", "epochs"), "--set takes FIELD=VALUE"),
        (("--recipe", "digit"), "did you mean: digits"),
        (("--resume", "--overwrite"), "choose one"),
        (("--epochs", "0"), "'--epochs'"),
        (("--data", "folder:/nowhere"), "/nowhere"),
    ],
)
def test_mistakes_are_one_line(call, source, tmp_path, more, message):
    code, stdout, stderr = call(*words(source, tmp_path / "run", *more))
    assert (code, stdout) == (2, "")
    assert message in stderr.splitlines()[-1]
    assert "Traceback" not in stderr


def test_the_default_folder(call, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, _ = call(*words(source, "")[:-2], "--seed", 5, "--epochs", 1)
    name = source.rpartition("/")[2]
    assert code == 0
    assert (tmp_path / "runs" / f"lenet5_modern-{name}-seed5" / "model.safetensors").is_file()


def test_help_has_an_example(call):
    code, stdout, _ = call("train", "--help")
    assert code == 0
    assert "Example: convatlas train" in stdout
