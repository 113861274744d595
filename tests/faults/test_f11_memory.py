"""F11: memory runs out. The batch is gathered from smaller passes, or one line says why not."""

import functools
import random
import re
import resource
from pathlib import Path

from counts import rounds

from convatlas.train.checkpoint import Checkpoints

NAME = "resnet20_cifar"
SETTINGS = {"recipe_name": "cifar10", "epochs": 1, "changes": {"batch_size": 60}}


@rounds(1, 7)
def test_passes_become_smaller_until_they_fit(runs, tmp_path, seed):
    spare = random.Random(seed).randint(50, 90)  # megabytes; a pass over 60 images takes 105
    prepare = functools.partial(limit_memory, spare)
    process = runs.begin(tmp_path, prepare, NAME, **SETTINGS)
    process.join(250)
    assert process.exitcode == 0
    content = Checkpoints(tmp_path / "checkpoints").newest()
    assert content["micro_batch"] in (30, 15, 8, 4)
    assert content["finished"]


@rounds(0, 3)
def test_images_that_are_too_much_are_one_line(runs, tmp_path, seed):
    prepare = functools.partial(limit_memory, seed)
    process = runs.begin(tmp_path, prepare, NAME, **SETTINGS)
    process.join(250)
    assert process.exitcode == 2
    told = (tmp_path / "error.txt").read_text()
    # the network has batch norm, which can't learn from one image
    assert told.startswith("memory ran out in step 1 although two images at a time were computed")
    assert "\n" not in told
    assert Checkpoints(tmp_path / "checkpoints").newest()["step"] == 0


def limit_memory(spare):
    """Let this process have no more than `spare` megabytes once the first step begins."""
    import torch

    from convatlas.train import step

    # oneDNN does not always survive it: some of its allocations are not checked
    torch.backends.mkldnn.set_flags(False)
    take_step = step.take_step

    def limited(*arguments):
        size = int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size + spare * 2**20, most))
        take_step(*arguments)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    step.take_step = limited
