"""Sharded checkpoints: each process writes its part, any number of processes reads them."""

import pickle
import shutil

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from convatlas.errors import FileError
from convatlas.train.checkpoint import CheckpointWarning
from convatlas.train.distributed import ALONE
from convatlas.train.sharding import gathered_tensor
from convatlas.train.shards import LIST, ShardedCheckpoints
from rank_processes import in_ranks

WEIGHT = torch.arange(15.0).view(5, 3)  # no number of processes divides it


@pytest.fixture
def checkpoints(tmp_path):
    return ShardedCheckpoints(tmp_path / "checkpoints")


def save(checkpoints, step, value=0.0):
    checkpoints.save(ALONE, step, {"weight": WEIGHT + value}, {"records": [step]})


def load(checkpoints):
    found = checkpoints.newest(ALONE)
    into = {"weight": torch.empty(5, 3)}
    found.load(into, ALONE)
    return found, into["weight"]


def test_nothing_there(checkpoints):
    assert checkpoints.newest(ALONE) is None


def test_what_goes_in_comes_out(checkpoints):
    save(checkpoints, 5)
    found, weight = load(checkpoints)
    assert (found.step, found.values, found.tensors) == (5, {"records": [5]}, {"weight": [5, 3]})
    assert torch.equal(weight, WEIGHT)


def test_the_newest_two_are_kept_and_none_is_overwritten(checkpoints):
    for step in (1, 5, 7):
        save(checkpoints, step)
    assert checkpoints.steps() == [7, 5]
    save(checkpoints, 7, value=1.0)
    assert torch.equal(load(checkpoints)[1], WEIGHT + 1)
    assert checkpoints.steps() == [7, 5]
    assert not list(checkpoints.folder.glob(".*"))


DAMAGE = {
    "no metadata": lambda path: (path / ".metadata").unlink(),
    "no list": lambda path: (path / LIST).unlink(),
    "no part": lambda path: (path / "__0_0.distcp").unlink(),
    "a flipped bit": lambda path: flip(path / "__0_0.distcp"),
    "a flipped bit in the metadata": lambda path: flip(path / ".metadata"),
    "a flipped bit in the list": lambda path: flip(path / LIST),
    "a cut part": lambda path: (path / "__0_0.distcp").write_bytes(b""),
    "empty": lambda path: (shutil.rmtree(path), path.mkdir()),
}


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_one_gives_way_to_the_older(checkpoints, damage):
    save(checkpoints, 1)
    save(checkpoints, 2, value=1.0)
    damage(next(checkpoints.folder.glob("shards-00000002-*")))
    with pytest.warns(CheckpointWarning, match="shards-00000002-.* was damaged"):
        found, weight = load(checkpoints)
    assert found.step == 1
    assert torch.equal(weight, WEIGHT)
    assert checkpoints.steps() == [1]


def test_metadata_that_was_changed_is_not_unpickled(checkpoints, tmp_path):
    class Payload:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    save(checkpoints, 1)
    folder = next(checkpoints.folder.glob("shards-*"))
    (folder / ".metadata").write_bytes(pickle.dumps(Payload()))
    with pytest.warns(CheckpointWarning):
        assert checkpoints.newest(ALONE) is None
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_leaves_the_older_ones(checkpoints, small_disk):
    save(checkpoints, 1)
    with small_disk(50_000), pytest.raises(FileError, match=r"can't write .*checkpoints: "):
        checkpoints.save(ALONE, 2, {"weight": torch.zeros(100_000)}, {})
    assert checkpoints.steps() == [1]
    assert not list(checkpoints.folder.glob(".*"))
    assert torch.equal(load(checkpoints)[1], WEIGHT)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="can't write"):
        save(ShardedCheckpoints(tmp_path / "file" / "checkpoints"), 1)


def test_what_a_killed_process_left_is_swept(checkpoints):
    save(checkpoints, 1)
    aside = checkpoints.folder / ".shards-00000002-99"
    aside.mkdir()
    (aside / "__0_0.distcp").write_text("half")
    assert checkpoints.newest(ALONE).step == 1
    checkpoints.sweep()
    assert not aside.exists()
    assert checkpoints.steps() == [1]


def test_a_tensor_that_it_lacks(checkpoints):
    save(checkpoints, 1)
    with pytest.raises(FileError, match=r"can't read .*other"):
        checkpoints.newest(ALONE).load({"other": torch.empty(2)}, ALONE)


def test_another_format_is_named(checkpoints, monkeypatch):
    monkeypatch.setattr("convatlas.train.shards.FORMAT", 9)
    save(checkpoints, 1)
    monkeypatch.undo()
    with pytest.raises(FileError, match="has format 9; this convatlas reads 1"):
        checkpoints.newest(ALONE)


def spread(weight, ranks):
    return distribute_tensor(weight, init_device_mesh("cpu", (ranks.size,)), [Shard(0)])


def save_spread(ranks, checkpoints):
    checkpoints.save(ranks, 3, {"weight": spread(WEIGHT, ranks), "count": torch.tensor(4)}, {})
    return sorted(path.name for path in next(checkpoints.folder.glob("shards-*")).iterdir())


def load_spread(ranks, checkpoints):
    into = {"weight": spread(torch.zeros(5, 3), ranks), "count": torch.tensor(0)}
    checkpoints.newest(ranks).load(into, ranks)
    return gathered_tensor(into["weight"]).tolist(), int(into["count"])


def test_two_write_and_three_or_one_read(checkpoints):
    found = in_ranks(2, save_spread, checkpoints)
    assert found[0] == [".metadata", "__0_0.distcp", "__1_0.distcp", LIST]
    assert in_ranks(3, load_spread, checkpoints) == [(WEIGHT.tolist(), 4)] * 3
    into = {"weight": torch.zeros(5, 3), "count": torch.tensor(0)}
    checkpoints.newest(ALONE).load(into, ALONE)
    assert torch.equal(into["weight"], WEIGHT)
