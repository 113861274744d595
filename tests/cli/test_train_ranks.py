"""`convatlas train` in several processes: one speaks and writes, all end alike."""

import json
import os
import re
import signal
import time

import pytest
import torch
from PIL import Image

from convatlas.cli import main
from rank_processes import CONTEXT, environment, free_port

QUICK = ("--recipe", "digits", "--set", "batch_size=12", "--track", "none")


def be_rank(told, words, folder):
    os.environ.update(told)
    torch.set_num_threads(1)
    for number, name in ((1, "out"), (2, "err")):
        file = folder / f"{told['RANK']}.{name}"
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    main([str(word) for word in words])


class Call:
    """The command in two processes."""

    def __init__(self, folder, words, told=()):
        port, self.folder = free_port(), folder
        self.processes = [
            CONTEXT.Process(
                target=be_rank, args=(environment(rank, 2, port) | dict(told), words, folder)
            )
            for rank in range(2)
        ]
        for process in self.processes:
            process.start()

    def said(self):
        """Give the exit codes, and what was written to standard output and error by each."""
        for process in self.processes:
            process.join(100)
        codes = [process.exitcode for process in self.processes]
        texts = [(self.folder / f"{rank}.{name}").read_text() for rank in (0, 1) for name in IO]
        return codes, texts

    def end(self):
        for process in self.processes:
            process.kill()
            process.join()


IO = ("out", "err")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    draw(folder)
    return f"folder:{folder}"


def draw(folder):
    for split, count in (("train", 12), ("val", 2), ("test", 2)):
        for name, level in (("dark", 40), ("light", 160)):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                Image.new("L", (12, 12), level + i).save(folder / split / name / f"{i}.png")


@pytest.fixture
def call(tmp_path):
    """Give `call(*words)`, which begins `convatlas train lenet5_modern` with them."""
    calls = []

    def call(*words, told=()):
        folder = tmp_path / f"said-{len(calls)}"
        folder.mkdir()
        calls.append(Call(folder, ("train", "lenet5_modern", *QUICK, *words), told))
        return calls[-1]

    yield call
    for one in calls:
        one.end()


@pytest.mark.slow
def test_the_first_speaks_and_writes(call, source, tmp_path):
    run = call("--data", source, "--epochs", 2, "--out", tmp_path / "run", "--json")
    codes, (out, err, other_out, other_err) = run.said()
    assert codes == [0, 0]
    assert json.loads(out)["state"] == "finished"
    assert err.count("epoch 2/2") == 1
    assert (other_out, other_err) == ("", "")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.json", "metrics.jsonl", "model.safetensors", "report.html"} <= names
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "digitz"), "no data source named 'digitz'"),
        (("--data", "digits", "--set", "optimizer.lr=1e30"), "the .* became (inf|nan) in step"),
        (
            ("--data", "digits", "--overwrite"),
            "on several machines a restart can't be told from a start",
        ),
    ],
    ids=["mistake", "divergence", "several machines"],
)
def test_a_failure_is_one_line_and_everyones(call, tmp_path, words, message):
    told = {"GROUP_RANK": "1"} if "--overwrite" in words else {}
    codes, (out, err, other_out, other_err) = call(*words, "--out", tmp_path, told=told).said()
    assert codes == [2, 2]
    last = err.splitlines()[-1]
    assert last.startswith("convatlas")
    assert re.search(message, last)
    assert "Traceback" not in err
    assert (out, other_out, other_err) == ("", "", "")


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_signal_to_one_stops_all(call, source, tmp_path, rank):
    words = ("--data", source, "--epochs", 500, "--checkpoint-every", 0.01)
    run = call(*words, "--out", tmp_path / "run")
    while not list(tmp_path.glob("run/checkpoints/step-*")):
        time.sleep(0.01)
    os.kill(run.processes[rank].pid, signal.SIGTERM)
    codes, (out, err, other_out, other_err) = run.said()
    assert codes == [143, 143]
    last = err.splitlines()[-1]
    assert last.startswith("stopped by SIGTERM; to go on: torchrun ... -m convatlas train lenet5")
    assert last.endswith("--resume")
    assert (out, other_out, other_err) == ("", "", "")


def test_bad_images_of_all_are_written_by_the_first(call, tmp_path):
    folder = tmp_path / "pictures"
    draw(folder)
    for name in ("dark", "light"):
        (folder / "train" / name / "3.png").write_bytes(b"no picture")
    words = ("--data", f"folder:{folder}", "--epochs", 2, "--max-bad", 0.2)
    codes, (_, err, _, other_err) = call(*words, "--out", tmp_path / "run").said()
    assert codes == [0, 0]
    lines = (tmp_path / "run" / "bad_images.txt").read_text().splitlines()
    assert len(lines) == 2
    assert err.count("a bad image") == 2
    assert other_err == ""
