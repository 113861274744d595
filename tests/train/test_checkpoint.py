"""Checkpoints: whole or not at all, checked when read, and without code."""

import hashlib
import io
import pickle
from pathlib import Path

import pytest
import torch

from convatlas.errors import FileError
from convatlas.train.checkpoint import Checkpoints, CheckpointWarning


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


def steps(checkpoints):
    return [int(path.name[5:13]) for path in sorted(checkpoints.folder.iterdir())]


def test_nothing_there(checkpoints):
    assert checkpoints.newest() is None


def test_what_goes_in_comes_out(checkpoints):
    content = {"model": {"w": torch.randn(3, 4)}, "records": [{"loss": 0.1}], "none": None}
    checkpoints.save(5, content)
    newest = checkpoints.newest()
    assert torch.equal(newest["model"]["w"], content["model"]["w"])
    assert newest["records"] == content["records"]
    assert newest["step"] == 5
    assert newest["none"] is None


def test_the_newest_two_are_kept(checkpoints):
    for step in (0, 5, 100_000_000, 7):
        checkpoints.save(step, {})
        assert checkpoints.newest()["step"] == step
    assert steps(checkpoints) == [5, 7]


def test_the_name_tells_the_content(checkpoints):
    path = checkpoints.save(3, {"x": 1})
    assert path.name == f"step-00000003-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.pt"


def test_the_same_step_again_replaces_the_first(checkpoints):
    checkpoints.save(1, {})
    checkpoints.save(2, {"x": 1})
    checkpoints.save(2, {"x": 2})
    assert steps(checkpoints) == [1, 2]
    assert checkpoints.newest()["x"] == 2


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer"])
def test_a_damaged_one_gives_way_to_the_older(checkpoints, damage):
    checkpoints.save(1, {"x": 1})
    path = checkpoints.save(2, {"x": 2})
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    path.write_bytes({"cut": data[:-1], "empty": b"", "longer": data + b"x"}.get(damage, data))
    with pytest.warns(CheckpointWarning, match="step-00000002.* was damaged"):
        assert checkpoints.newest()["x"] == 1
    assert steps(checkpoints) == [1]
    checkpoints.save(2, {"x": 3})
    assert checkpoints.newest()["x"] == 3


def test_all_damaged(checkpoints):
    for step in (1, 2):
        checkpoints.save(step, {}).write_bytes(b"")
    with pytest.warns(CheckpointWarning):
        assert checkpoints.newest() is None


def test_other_files_are_left_alone(checkpoints):
    checkpoints.save(1, {})
    note = checkpoints.folder / "step-note.pt"
    note.write_text("mine")
    checkpoints.save(2, {})
    checkpoints.save(3, {})
    checkpoints.clear()
    assert list(checkpoints.folder.iterdir()) == [note]


def forge(checkpoints, data):
    checkpoints.folder.mkdir(parents=True)
    name = f"step-00000001-{hashlib.sha256(data).hexdigest()[:16]}.pt"
    (checkpoints.folder / name).write_bytes(data)


def test_code_is_not_run(checkpoints, tmp_path):
    sentinel = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return Path.touch, (sentinel,)

    buffer = io.BytesIO()
    torch.save({"format": 1, "model": Payload()}, buffer)
    forge(checkpoints, buffer.getvalue())
    with pytest.raises(FileError, match="not written by convatlas"):
        checkpoints.newest()
    assert not sentinel.exists()


@pytest.mark.parametrize("content", [b"no checkpoint", pickle.dumps(3, protocol=2), b""])
def test_something_else_with_the_right_checksum(checkpoints, content):
    forge(checkpoints, content)
    with pytest.raises(FileError, match="not written by convatlas"):
        checkpoints.newest()


def test_another_format(checkpoints):
    buffer = io.BytesIO()
    torch.save({"format": 2}, buffer)
    forge(checkpoints, buffer.getvalue())
    with pytest.raises(FileError, match="has format 2; this convatlas reads 1"):
        checkpoints.newest()


def test_a_full_disk_leaves_the_older_ones(checkpoints, small_disk):
    for step in (1, 2):
        checkpoints.save(step, {"x": step})
    with small_disk(100_000), pytest.raises(FileError, match=r"can't write .*: File too large$"):
        checkpoints.save(3, {"x": torch.zeros(100_000)})
    assert steps(checkpoints) == [1, 2]
    assert checkpoints.newest()["x"] == 2


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="can't write"):
        Checkpoints(tmp_path / "file" / "checkpoints").save(0, {})
