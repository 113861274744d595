"""F5: SIGTERM and SIGINT at any moment. The state is kept at the next step, quickly."""

import functools
import os
import random
import signal
import sys
import time

import pytest
from counts import rounds

from convatlas.train import run
from convatlas.train.options import RunOptions
from convatlas.train.signals import stop_on_signals

LONGEST = 10.0  # seconds from the signal to the end
STOPPED = 75


@pytest.mark.parametrize("workers", [0, 2])
@rounds(1, 10)
def test_stopped_at_random(runs, undisturbed, tmp_path, workers, seed):
    draw = random.Random(seed)
    options = {"options": RunOptions(workers=workers)}
    number = draw.choice((signal.SIGTERM, signal.SIGINT))
    process = runs.begin(tmp_path, stop_softly, **options)
    runs.wait_for_checkpoint(tmp_path, process)
    time.sleep(draw.uniform(0, 0.2))
    begun = time.monotonic()
    os.killpg(process.pid, number)  # as a terminal and a scheduler do: the readers get it too
    process.join(LONGEST + 5)
    assert time.monotonic() - begun < LONGEST
    assert process.exitcode in (0, STOPPED)
    assert runs.finish(tmp_path, **options) == undisturbed()


def stop_softly():
    """Let this process turn a signal into a stop, as the command line does."""
    start_run = run.start_run

    @functools.wraps(start_run)
    def stoppable(*arguments, **options):
        with stop_on_signals() as switch:
            result = start_run(*arguments, stop=switch, **options)
        if result.state == "stopped":
            sys.exit(STOPPED)

    sys.modules["faulty_runs"].start_run = stoppable
