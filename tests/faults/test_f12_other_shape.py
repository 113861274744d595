"""F12: a run is taken up with other workers, or in passes of another size."""

import random

import pytest
import torch
from counts import rounds
from faulty_runs import SETTINGS, outcome

import convatlas as ca
from convatlas.errors import InputError
from convatlas.train.options import RunOptions
from convatlas.train.run import start_run


def stopped(pictures, out, draw, options):
    """Leave a run at some step."""
    asked, last = [0], draw.randint(1, 18)

    def stop():
        asked[0] += 1
        return asked[0] > last

    start_run("lenet5_modern", pictures, out=out, stop=stop, options=options, **SETTINGS)


@rounds(1, 6)
def test_other_workers_change_nothing(pictures, undisturbed, tmp_path, seed):
    draw = random.Random(seed)
    first, second = draw.sample(range(4), 2)
    stopped(pictures, tmp_path, draw, RunOptions(workers=first))
    options = RunOptions(workers=second)
    start_run("lenet5_modern", pictures, out=tmp_path, resume=True, options=options, **SETTINGS)
    assert outcome(tmp_path) == undisturbed()


@rounds(1, 3)
def test_smaller_passes_end_in_the_same_weights(pictures, undisturbed, tmp_path, seed):
    draw, options = random.Random(seed), RunOptions(micro_batch=(5, 1, 7)[seed])
    stopped(pictures, tmp_path / "parts", draw, options)
    for out, how in (("parts", options), ("whole", RunOptions())):
        start_run(
            "lenet5_modern", pictures, out=tmp_path / out, resume=True, options=how, **SETTINGS
        )
    assert outcome(tmp_path / "whole") == undisturbed()
    parts, whole = (ca.load(tmp_path / out)[0].state_dict() for out in ("parts", "whole"))
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=0, atol=1e-5)


@rounds(1, 3)
def test_another_split_of_the_batch_is_refused(pictures, tmp_path, seed):
    stopped(pictures, tmp_path, random.Random(seed), RunOptions(micro_batch=4))
    with pytest.raises(InputError, match=rf"options\.micro_batch was 4, is {5 + seed}"):
        start_run(
            "lenet5_modern",
            pictures,
            out=tmp_path,
            resume=True,
            options=RunOptions(micro_batch=5 + seed),
            **SETTINGS,
        )
