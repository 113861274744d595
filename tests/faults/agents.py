"""Launchers of workers: torchrun, and one that forks them as torchrun would start them."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from faulty_runs import CONTEXT

from convatlas.errors import UserError
from convatlas.train.joining import joined
from convatlas.train.options import RunOptions
from convatlas.train.run import start_run
from rank_processes import environment, free_port

EPOCHS = 2  # of five steps
NETWORKS = {
    "ddp": ("resnet8_cifar", "cifar10"),  # each process has its own statistics of batch norm
    "fsdp": ("resnet8_cifar", "cifar10"),
    "plain": ("lenet5_modern", "digits"),
}
COMPUTING = {"fsdp": {"shard": True, "sync_norm": True}}


class Agent:
    """Forks workers, and forks them again, with one store for all rounds, as torchrun has."""

    def __init__(self, size, kind, source, **settings):
        self.size, self.work = size, (kind, source, settings)
        self.port, self.restarts, self.processes = free_port(), 0, []
        self.store = dist.TCPStore("127.0.0.1", self.port, is_master=True, wait_for_workers=False)

    def start(self):
        """Start the workers; from the second time on, as torchrun does after a failure."""
        self.processes = []
        for rank in range(self.size):
            told = environment(rank, self.size, self.port) | {
                "TORCHELASTIC_USE_AGENT_STORE": "True",
                "TORCHELASTIC_RESTART_COUNT": str(self.restarts),
            }
            self.processes.append(CONTEXT.Process(target=_work, args=(told, *self.work)))
            self.processes[-1].start()
        self.restarts += 1

    def wait(self):
        """Give the exit codes of all workers."""
        for process in self.processes:
            process.join(400)
        return [process.exitcode for process in self.processes]

    def finish(self):
        """Take the run to its end."""
        self.start()
        assert self.wait() == [0] * self.size

    def end(self):
        for process in self.processes:
            process.kill()
            process.join()


def _work(told, kind, source, settings):
    os.environ.update(told)
    multiprocessing.set_start_method("fork", force=True)  # not from the server of this process
    torch.set_num_threads(1)
    name, recipe = NETWORKS[kind]
    stop_at, steps = settings.pop("stop_at", None), []
    with contextlib.suppress(UserError), joined(timedelta(seconds=60)) as ranks:
        options = {"checkpoint_every": 1e-9, "ranks": ranks, **COMPUTING.get(kind, {})}
        start_run(
            name,
            source,
            recipe_name=recipe,
            changes={"batch_size": 12},
            options=RunOptions(**options),
            stop=lambda: steps.append(1) or len(steps) == stop_at,
            **{"epochs": EPOCHS, **settings},
        )
        os._exit(0)  # what aborts at the exit of a worker is no matter of these tests
    os._exit(1)


class Torchrun:
    """A torchrun of some workers, in a session of its own."""

    def __init__(self, log, arguments, out, kind, source, epochs, *, fresh_store=False):
        name, recipe = NETWORKS[kind]
        words = [sys.executable, "-m", "torch.distributed.run", *arguments, "-m", "convatlas"]
        words += ["train", name, "--data", source, "--recipe", recipe, "--out", str(out)]
        words += ["--epochs", str(epochs), "--set", "batch_size=12", "--track", "none"]
        words += ["--checkpoint-every", "0.001", "--resume"]
        words += [f"--{option.replace('_', '-')}" for option in COMPUTING.get(kind, {})]
        told = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        if fresh_store:
            told["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                words, env=os.environ | told, stdout=file, stderr=file, start_new_session=True
            )

    def workers(self):
        """Give the processes it has started."""
        return [pid for pid, parent in _parents() if parent == self.process.pid]

    def wait(self, seconds):
        assert self.process.wait(seconds) == 0, self.log.read_text()[-3000:]

    def end(self):
        """Kill it and its workers, as if the machine had lost its power."""
        victims = [*self.workers(), self.process.pid]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def _parents():
    """Give (process, parent) of all processes."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            yield int(stat.parent.name), int(fields[1])
