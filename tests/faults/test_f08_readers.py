"""F8: readers are killed, fail or hang. Never a silent wait, never other bytes, never orphans."""

import multiprocessing
import os
import random
import signal
import subprocess
import threading
import time

import pytest
from counts import rounds
from faulty_runs import SETTINGS, outcome

from convatlas.data.folder import FolderSplit
from convatlas.data.workers import WorkerWarning
from convatlas.errors import InputError
from convatlas.train.options import RunOptions
from convatlas.train.run import start_run

OPTIONS = RunOptions(workers=2)


@pytest.mark.filterwarnings("ignore::convatlas.data.workers.WorkerWarning")
@rounds(1, 9)
def test_killed_at_random(pictures, undisturbed, tmp_path, seed):
    draw, done, killed = random.Random(seed), threading.Event(), []

    def kill_some():
        while not done.is_set() and len(killed) < 3:
            for process in multiprocessing.active_children()[:1]:
                time.sleep(draw.uniform(0, 0.1))
                process.kill()
                killed.append(process.pid)
            done.wait(0.3)

    thread = threading.Thread(target=kill_some)
    thread.start()
    try:
        start_run("lenet5_modern", pictures, out=tmp_path, options=OPTIONS, **SETTINGS)
    finally:
        done.set()
        thread.join()
    assert killed
    assert outcome(tmp_path) == undisturbed()


@rounds(1, 3)
def test_a_picture_that_fails_is_named(pictures, tmp_path, monkeypatch, seed):
    bad = random.Random(seed).randrange(60)

    def fail(split, i):
        if split.files[i].startswith("train") and i == bad:
            raise RuntimeError(f"a defect at {split.name(i)}")
        return view(split, i)

    view = FolderSplit.view
    monkeypatch.setattr(FolderSplit, "view", fail)
    with pytest.raises(RuntimeError, match=r"a defect at train/"):
        start_run("lenet5_modern", pictures, out=tmp_path, options=OPTIONS, **SETTINGS)
    assert multiprocessing.active_children() == []


@rounds(1, 3)
def test_a_picture_that_hangs_is_named(pictures, tmp_path, monkeypatch, seed):
    bad = random.Random(seed).randrange(60)

    def hang(split, i):
        if split.files[i].startswith("train") and i == bad:
            time.sleep(1000)
        return view(split, i)

    view = FolderSplit.view
    monkeypatch.setattr(FolderSplit, "view", hang)
    monkeypatch.setattr("convatlas.data.workers.NOTICE_AFTER", 1.0)
    monkeypatch.setattr("convatlas.data.workers.GIVE_UP_AFTER", 2.0)
    with (
        pytest.warns(WorkerWarning, match=r"waiting for . s .* that read train/"),
        pytest.raises(InputError, match=r"nothing came in . s from .* that read train/"),
    ):
        start_run("lenet5_modern", pictures, out=tmp_path, options=OPTIONS, **SETTINGS)
    assert multiprocessing.active_children() == []


@rounds(1, 10)
def test_none_outlives_a_killed_run(runs, tmp_path, seed):
    process = runs.begin(tmp_path, options=RunOptions(workers=3), epochs=100)
    runs.wait_for_checkpoint(tmp_path, process)
    time.sleep(random.Random(seed).uniform(0, 0.3))
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert members(process.pid) == []


def members(group):
    """List the living processes of a group, which is that of the run."""
    found = subprocess.run(
        ["ps", "-o", "pid=,stat=", "-g", str(group)], capture_output=True, text=True, check=False
    )
    rows = [line.split() for line in found.stdout.splitlines()]
    return [int(pid) for pid, stat in rows if not stat.startswith("Z") and int(pid) != os.getpid()]
