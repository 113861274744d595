"""Join the processes that torchrun has started, and leave them so that none waits for another."""

import contextlib
import gc
import os
import traceback
from collections.abc import Generator
from dataclasses import replace
from datetime import timedelta

import torch
import torch.distributed as dist

from convatlas.errors import InputError
from convatlas.train.distributed import TIMEOUT, LostError, Ranks


@contextlib.contextmanager
def joined(timeout: timedelta = TIMEOUT) -> Generator[Ranks]:
    """Join the processes that `torchrun` has started, and leave them at the end.

    Without torchrun, or with one process, there is nothing to join.

    By default torchrun keeps one store over all its restarts, in which new processes find the
    addresses of dead ones, and wait for them. On one machine its count of restarts tells them
    apart here. Several machines count for themselves and need a new store each time, which
    torchrun makes when TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 is in its environment.

    Args:
        timeout: After this long without an answer a process gives up; then torchrun starts all
            of them again, or ends the run.

    Raises:
        InputError: The environment is not one that torchrun makes.
        LostError: The connection to another process has broken inside the block.
    """
    size, restarts = _number("WORLD_SIZE", 1), _number("TORCHELASTIC_RESTART_COUNT", 0)
    if size == 1:
        yield Ranks(restarted=restarts > 0)
        return
    rank, host_rank = _number("RANK"), _number("LOCAL_RANK")
    kept = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    several = _number("GROUP_WORLD_SIZE", 1) > 1
    store = _store(rank, size, kept, timeout)
    if kept:
        store = dist.PrefixStore(f"convatlas/{restarts}", store)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)
    try:
        ranks = Ranks(
            rank,
            size,
            host_rank,
            _number("LOCAL_WORLD_SIZE", 1),
            _number("GROUP_RANK", 0),
            store=store,
        )
        [restarted] = ranks.any(restarts > 0)  # each machine counts its own
        limit = _number("TORCHELASTIC_MAX_RESTARTS", 0)
        yield replace(ranks, restarted=restarted, forgetful=kept and several and limit > 0)
        ranks.any(False)  # who leaves first would cut off the others
    except BaseException as error:
        _forget(error)
        if isinstance(error, RuntimeError) and _is_of_connection(error):
            raise LostError(
                f"process {rank} of {size} has lost the others: {_cause(error)}"
            ) from error
        raise
    finally:
        # What averages gradients must be gone first: torch ends the group's threads with its last
        # user, and where Python's lock is held meanwhile, process and threads wait for each other.
        gc.collect()
        dist.destroy_process_group()  # without it, processes now and then abort when they exit


def _forget(error: BaseException) -> None:
    """Let go of what the functions that an error has ended were working with."""
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__


def _is_of_connection(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()


def _store(rank: int, size: int, kept: bool, timeout: timedelta) -> dist.Store:
    """Give the place where processes find each other; torchrun has opened it if it is `kept`."""
    host, port = os.environ.get("MASTER_ADDR"), _number("MASTER_PORT")
    if not host:
        raise InputError("MASTER_ADDR is not set: start several processes with torchrun")
    return dist.TCPStore(host, port, size, rank == 0 and not kept, timeout, multi_tenant=not kept)


def _cause(error: RuntimeError) -> str:
    """Give what gloo and NCCL say first, without their advice and the place in their code."""
    first = str(error).splitlines()[0].partition(". This is typically")[0]
    return first.partition(".cc:")[2].partition("] ")[2] or first


def _number(name: str, default: int | None = None) -> int:
    """Read a number that torchrun sets."""
    text = os.environ.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise InputError(
            f"{name} must be a whole number, not {text!r}: start several processes with torchrun"
        )
    return int(text)
