"""Two processes never write to one folder, and the lock of a dead one holds nobody up."""

import multiprocessing
import os

import pytest

from convatlas.errors import FileError, InputError
from convatlas.train.lock import FILE_NAME, locked

CONTEXT = multiprocessing.get_context("fork")


def hold(folder, ready, leave):
    with locked(folder):
        ready.set()
        leave.wait(60)


@pytest.fixture
def holder(tmp_path):
    """A process that is in the folder, until it is told to leave or killed."""
    ready, leave = CONTEXT.Event(), CONTEXT.Event()
    process = CONTEXT.Process(target=hold, args=(tmp_path / "run", ready, leave))
    process.start()
    assert ready.wait(60)
    yield process, leave
    process.kill()
    process.join()


def test_the_second_is_told_who_is_there(holder, tmp_path):
    process, leave = holder
    with (
        pytest.raises(InputError, match=f"run is in use by process {process.pid} on .*: wait"),
        locked(tmp_path / "run"),
    ):
        pytest.fail("two are in the folder")
    leave.set()
    process.join()
    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / FILE_NAME).read_text().startswith(f"process {os.getpid()} ")


def test_a_dead_process_holds_nobody_up(holder, tmp_path):
    process, _ = holder
    process.kill()
    process.join()
    assert (tmp_path / "run" / FILE_NAME).exists()
    with locked(tmp_path / "run"):
        pass


def test_a_child_does_not_keep_it(tmp_path):
    leave = CONTEXT.Event()
    with locked(tmp_path / "run"):
        child = CONTEXT.Process(target=leave.wait, args=(60,))
        child.start()
        (tmp_path / "run" / "result").touch()
    taken = CONTEXT.Event()
    other = CONTEXT.Process(target=hold, args=(tmp_path / "run", taken, leave))
    other.start()
    assert taken.wait(60)
    leave.set()
    child.join()
    other.join()


def test_nothing_is_left_behind(tmp_path):
    with locked(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()
    with locked(tmp_path / "run"):
        (tmp_path / "run" / "result").touch()
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "run"):
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["result"]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(FileError, match=r"can't write .*a part of its path is a file"),
        locked(tmp_path / "file" / "run"),
    ):
        pytest.fail("there is no such folder")
