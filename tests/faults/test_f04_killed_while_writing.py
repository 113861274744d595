"""F4: SIGKILL inside the writing of a checkpoint. No part of one is ever taken for a whole."""

import functools
import os
import random
import signal
from pathlib import Path

from counts import rounds

from convatlas.train.options import RunOptions

KILLS = 5  # in each run
MOMENTS = ("half written", "not forced to the disk", "not renamed", "not pruned")
OPTIONS = {"options": RunOptions(checkpoint_every=1e-9)}  # a checkpoint after every step


@rounds(1, 10)
def test_killed_in_the_midst_of_a_checkpoint(runs, undisturbed, tmp_path, seed):
    draw = random.Random(seed)
    for _ in range(KILLS):
        # the first checkpoint of a process that goes on comes after a step
        prepare = functools.partial(die_in_checkpoint, draw.randint(1, 4), draw.choice(MOMENTS))
        process = runs.begin(tmp_path, prepare, **OPTIONS)
        process.join(250)
        assert process.exitcode == -signal.SIGKILL
    assert runs.finish(tmp_path, **OPTIONS) == undisturbed()


def die_in_checkpoint(number, moment):
    """End this process in the midst of the `number`-th checkpoint that it writes."""
    begun = [0]
    write_bytes, replace, fsync = Path.write_bytes, Path.replace, os.fsync

    def die(name, reached):
        if "step-" in name and begun[0] == number and reached == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def write_half(path, data):
        begun[0] += "step-" in path.name
        write_bytes(path, data[: len(data) // 2])
        die(path.name, "half written")
        return write_bytes(path, data)

    def fsync_later(handle):
        die(Path(f"/proc/self/fd/{handle}").readlink().name, "not forced to the disk")
        fsync(handle)

    def replace_later(path, target):
        die(path.name, "not renamed")
        replace(path, target)
        die(path.name, "not pruned")

    Path.write_bytes, Path.replace, os.fsync = write_half, replace_later, fsync_later
