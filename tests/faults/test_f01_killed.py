"""F1: SIGKILL at any moment. The same command again ends in the bytes of an undisturbed run."""

import random
import signal
import time

from counts import rounds

from convatlas.train.options import RunOptions

KILLS = 5  # in each run


@rounds(1, 10)
def test_killed_at_random(runs, undisturbed, tmp_path, seed):
    # a checkpoint after every step: most of the time, one is being written
    options = {"options": RunOptions(checkpoint_every=1e-9)}
    _kill_often(runs, tmp_path, random.Random(seed), options)
    assert runs.finish(tmp_path, **options) == undisturbed()


@rounds(0, 5)
def test_killed_with_processes_that_read_ahead(runs, undisturbed, tmp_path, seed):
    options = {"options": RunOptions(checkpoint_every=1e-9, workers=2)}
    _kill_often(runs, tmp_path, random.Random(seed), options)
    assert runs.finish(tmp_path, **options) == undisturbed()


@rounds(0, 3)
def test_killed_between_checkpoints(runs, undisturbed, tmp_path, seed):
    options = {"options": RunOptions(checkpoint_every=0.05), "epochs": 30}
    _kill_often(runs, tmp_path, random.Random(seed), options)
    assert runs.finish(tmp_path, **options) == undisturbed(epochs=30)


def _kill_often(runs, folder, draw, options):
    for _ in range(KILLS):
        known = set(folder.glob("checkpoints/*.pt"))
        process = runs.begin(folder, **options)
        for _ in range(draw.randrange(4)):  # none: it is killed while it starts
            known |= runs.wait_for_checkpoint(folder, process, known)
        time.sleep(draw.uniform(0, 0.02))
        process.kill()
        process.join()
        if process.exitcode == 0:  # it was done before the signal came
            return
        assert process.exitcode == -signal.SIGKILL
