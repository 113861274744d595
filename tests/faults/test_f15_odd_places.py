"""F15: a folder that can't be written, a clock that jumps, no terminal, no locale, no asserts."""

import ctypes
import itertools
import os
import subprocess
import sys
import time

import pytest
from faulty_runs import SETTINGS, outcome

from convatlas.train.run import start_run

DAC_OVERRIDE = 1  # the capability by which root writes where nobody may


@pytest.mark.parametrize("begun", [False, True])
def test_a_folder_that_nobody_may_write_is_one_line(runs, pictures, tmp_path, begun):
    out = tmp_path / "run"
    asked = iter(range(100))
    start_run("lenet5_modern", pictures, out=out, stop=lambda: next(asked) == 7, **SETTINGS)
    if not begun:
        for path in (out / "config.json", *(out / "checkpoints").iterdir()):
            path.unlink()
    before = {path.name: path.stat().st_mtime_ns for path in out.rglob("*")}
    (out / "error.txt").touch()  # where the process tells its error
    out.chmod(0o555)
    try:
        process = runs.begin(out, without_privileges)
        process.join(250)
    finally:
        out.chmod(0o755)
    assert process.exitcode == 2
    told = (out / "error.txt").read_text()
    assert told == f"can't write {out / '.lock'}: Permission denied"
    (out / "error.txt").unlink()
    assert {path.name: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def without_privileges():
    """Take from root the right to write where nobody may; other users never have it."""
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(head, sets) == 0
    sets[0] &= ~(1 << DAC_OVERRIDE)
    assert libc.capset(head, sets) == 0


def test_a_clock_that_jumps_changes_nothing(pictures, undisturbed, tmp_path, monkeypatch):
    jumps = itertools.cycle((0.0, -86400.0, 4e9))
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + next(jumps))
    start_run("lenet5_modern", pictures, out=tmp_path, **SETTINGS)
    assert outcome(tmp_path) == undisturbed()


PLACES = {
    "no locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "an unknown locale": {"LC_ALL": "xx_YY.UTF-8"},
    "no asserts": {"PYTHONOPTIMIZE": "2"},
    "no home": {"HOME": "/nowhere", "XDG_CACHE_HOME": "/nowhere", "TERM": "dumb"},
}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_the_command_works_in_odd_places(pictures, undisturbed, tmp_path, place):
    words = ["train", "lenet5_modern", "--data", pictures, "--recipe", "digits", "--epochs", "4"]
    done = subprocess.run(
        [sys.executable, "-m", "convatlas", *words, "--set", "batch_size=12", "--out", tmp_path],
        env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", **place},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    assert outcome(tmp_path) == undisturbed()
    assert (tmp_path / "report.html").is_file()
