"""F7: bits that flip and ends that are cut off. Seen by the checksum; the older one is used."""

import random

import pytest
import torch
from counts import rounds
from faulty_runs import SETTINGS, outcome

from convatlas.train.checkpoint import Checkpoints, CheckpointWarning
from convatlas.train.run import start_run


def flip(data, draw):
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return data


def cut(data, draw):
    return data[: draw.randrange(len(data))]


def zero(data, draw):
    """What some file systems leave after a power cut: the right length, without the content."""
    start = draw.randrange(len(data) - 1)
    end = start + 1 + data[start:].index(max(data[start:]))
    data[start:end] = bytes(end - start)
    return data


DAMAGE = (flip, cut, zero)


@rounds(6, 90)
def test_the_older_one_is_used(tmp_path, seed):
    draw = random.Random(seed)
    checkpoints = Checkpoints(tmp_path)
    weights = torch.rand(300, generator=torch.Generator().manual_seed(seed)) + 1
    checkpoints.save(1, {"weights": weights})
    path = checkpoints.save(2, {"weights": weights + 1})
    damaged = DAMAGE[seed % len(DAMAGE)](bytearray(path.read_bytes()), draw)
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    with pytest.warns(CheckpointWarning, match=f"{path.name} was damaged"):
        found = checkpoints.newest()
    assert found["step"] == 1
    assert torch.equal(found["weights"], weights)


@rounds(1, 9)
def test_a_run_goes_on_from_it(pictures, undisturbed, tmp_path, seed):
    draw = random.Random(seed)
    asked, stop_at = [0], draw.randint(7, 18)

    def stop():
        asked[0] += 1
        return asked[0] > stop_at

    start_run("lenet5_modern", pictures, out=tmp_path, stop=stop, **SETTINGS)
    path = max((tmp_path / "checkpoints").iterdir())
    path.write_bytes(DAMAGE[seed % len(DAMAGE)](bytearray(path.read_bytes()), draw))
    with pytest.warns(CheckpointWarning, match=path.name):
        start_run("lenet5_modern", pictures, out=tmp_path, resume=True, **SETTINGS)
    assert outcome(tmp_path) == undisturbed()


def test_an_empty_folder_is_a_run_that_has_not_begun(pictures, undisturbed, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    start_run("lenet5_modern", pictures, out=tmp_path, resume=True, **SETTINGS)
    assert outcome(tmp_path) == undisturbed()
