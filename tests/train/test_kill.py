"""A killed run, taken up again and again, ends in the bytes of an undisturbed one."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import signal
import time

import pytest

from convatlas.train.options import RunOptions
from convatlas.train.run import start_run

# one process imports torch, each run is forked from it: no run waits for an import
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["convatlas.train.run", "pytest"])


def go_on(source, settings):
    """Take a run to its end, in a process as a user's would be."""
    os.setsid()
    multiprocessing.set_start_method("fork", force=True)  # not from the server of this process
    start_run("lenet5_modern", source, resume=True, **settings)


@pytest.fixture
def begin(pictures):
    """Give `begin(out, **options)`: a process that takes the run in a folder to its end."""
    processes = []

    def begin(out, **options):
        settings = {"recipe_name": "digits", "epochs": 4, "changes": {"batch_size": 12}, **options}
        process = CONTEXT.Process(target=go_on, args=(pictures, {"out": out, **settings}))
        process.start()
        processes.append(process)
        return process

    yield begin
    for process in processes:
        # what reads ahead for a killed run ends by itself, but seconds later
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.join()


def finish(process):
    process.join(250)
    assert process.exitcode == 0


def outcome(folder):
    timed = ("seconds", "images_per_second")
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return (
        hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        (folder / "test.json").read_text(),
        [{k: v for k, v in json.loads(line).items() if k not in timed} for line in lines],
    )


def check_kills(begin, tmp_path, kills, seed, **options):
    finish(begin(tmp_path / "undisturbed", **options))
    draw = random.Random(seed)
    killed, longest = 0, 0.05
    while killed < kills:
        process = begin(tmp_path / "killed", **options)
        _wait_for_checkpoint(tmp_path / "killed", process)
        time.sleep(draw.uniform(0, longest))
        process.kill()
        process.join()
        if process.exitcode == 0:  # it was done before the signal came
            break
        assert process.exitcode == -signal.SIGKILL
        killed += 1
    finish(begin(tmp_path / "killed", **options))
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "undisturbed")
    assert not list(tmp_path.rglob("*.tmp"))
    return killed


def _wait_for_checkpoint(folder, process):
    while process.is_alive() and not list(folder.glob("checkpoints/*.pt")):
        time.sleep(0.005)


def test_killed_three_times(begin, tmp_path):
    # a checkpoint after every step: most of the time, one is being written
    assert (
        check_kills(begin, tmp_path, kills=3, seed=1, options=RunOptions(checkpoint_every=1e-9))
        == 3
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killed_ten_times(begin, tmp_path, seed):
    options = {"options": RunOptions(checkpoint_every=0.02), "epochs": 40}
    assert check_kills(begin, tmp_path, kills=10, seed=seed, **options) > 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killed_with_processes_that_read_ahead(begin, tmp_path, seed):
    options = {"options": RunOptions(checkpoint_every=1e-9, workers=2)}
    assert check_kills(begin, tmp_path, kills=3, seed=seed, **options) == 3
