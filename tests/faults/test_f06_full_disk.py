"""F6: a full disk. One line with the path, the old checkpoint loads, nothing half-written stays."""

import contextlib
import errno
import os
import random
from pathlib import Path

import pytest
from counts import rounds
from faulty_runs import SETTINGS, outcome

from convatlas.errors import FileError
from convatlas.train.checkpoint import Checkpoints
from convatlas.train.run import start_run

FILES = ("step-", "metrics.jsonl", "test.json", "model.safetensors")


@rounds(2, 7)
def test_a_disk_that_is_full_from_some_write_on(pictures, undisturbed, tmp_path, seed):
    draw = random.Random(seed)
    part = FILES[seed % len(FILES)]
    spare = draw.randint(1, 4) if part in FILES[:2] else 0
    with (
        full_for(part, spare),
        pytest.raises(FileError, match=rf"^can't write .*{part}.*: No space left on device; \d"),
    ):
        start_run("lenet5_modern", pictures, out=tmp_path / "run", **SETTINGS)
    check_goes_on(pictures, tmp_path / "run", undisturbed)


@rounds(1, 3)
def test_a_limit_of_the_system(pictures, undisturbed, tmp_path, small_disk, seed):
    draw = random.Random(seed)
    stop = stop_after(draw.randint(2, 9))
    start_run("lenet5_modern", pictures, out=tmp_path, stop=stop, **SETTINGS)
    size = max(path.stat().st_size for path in (tmp_path / "checkpoints").iterdir())
    with (
        small_disk(draw.randrange(4096, size)),
        pytest.raises(FileError, match=r"^can't write .*(step-|best\.).*: .*File too large"),
    ):
        start_run("lenet5_modern", pictures, out=tmp_path, resume=True, **SETTINGS)
    check_goes_on(pictures, tmp_path, undisturbed)


def check_goes_on(pictures, out, undisturbed):
    assert not list(out.rglob("*.tmp"))
    assert not list(out.rglob(".lock"))
    if list(out.glob("checkpoints/*.pt")):
        assert Checkpoints(out / "checkpoints").newest()["step"] >= 0
    start_run("lenet5_modern", pictures, out=out, resume=True, **SETTINGS)
    assert outcome(out) == undisturbed()


@contextlib.contextmanager
def full_for(part, spare):
    """Let the disk be full for files whose name has `part` in it, after `spare` of them."""
    fsync, left = os.fsync, [spare]

    def full(handle):
        if part in Path(f"/proc/self/fd/{handle}").readlink().name:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    os.fsync = full
    try:
        yield
    finally:
        os.fsync = fsync


def stop_after(steps):
    asked = iter(range(10**6))
    return lambda: next(asked) >= steps
