"""Runs in processes of their own, to be killed, stopped and starved."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import time

from convatlas.errors import UserError
from convatlas.train.run import start_run

# one process imports torch, each run is forked from it: no run waits for an import
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["convatlas.train.run", "pytest"])
SETTINGS = {"recipe_name": "digits", "epochs": 4, "changes": {"batch_size": 12}}  # 20 steps


def go_on(name, source, settings, prepare):
    """Take a run to its end, in a process as a user's would be; a mistake is left in a file."""
    os.setsid()
    prepare()
    try:
        start_run(name, source, resume=True, **settings)
    except UserError as error:
        (settings["out"] / "error.txt").write_text(str(error))
        sys.exit(2)


def nothing():
    """Prepare nothing."""


class Runs:
    """Starts runs of one source, and ends what is left of them."""

    def __init__(self, source):
        self.source, self.processes = source, []

    def begin(self, out, prepare=nothing, name="lenet5_modern", **options):
        """Give a process that takes the run in a folder to its end."""
        settings = {"out": out, **SETTINGS, **options}
        process = CONTEXT.Process(target=go_on, args=(name, self.source, settings, prepare))
        process.start()
        self.processes.append(process)
        return process

    def finish(self, out, **options):
        """Take a run to its end and give what it left."""
        process = self.begin(out, **options)
        process.join(250)
        assert process.exitcode == 0
        assert not list(out.rglob("*.tmp"))
        return outcome(out)

    def wait_for_checkpoint(self, out, process, known=frozenset()):
        """Give the checkpoints once there is one that is not known, or the process has ended."""
        while True:
            found = set(out.glob("checkpoints/*.pt"))
            if found - known or not process.is_alive():
                return found
            time.sleep(0.002)

    def end(self):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.join()


def outcome(folder):
    """What must be equal: weights and buffers, the test, the metrics but for the times."""
    timed = ("seconds", "images_per_second")
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return (
        *(
            hashlib.sha256((folder / f"{name}.safetensors").read_bytes()).hexdigest()
            for name in ("model", "best")
        ),
        (folder / "test.json").read_text(),
        [{k: v for k, v in json.loads(line).items() if k not in timed} for line in lines],
    )
