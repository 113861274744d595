"""Processes that read batches ahead: torch's, made deaf to the signals that end a run."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from convatlas.errors import InputError, UserError

Read = TypeVar("Read")  # a tensor, or a list of tensors
Reader = Callable[[np.ndarray], Read]

RESTARTS = 3  # how often processes that were killed are replaced in one epoch
NOTICE_AFTER = 60.0  # seconds without a batch after which a user is told
GIVE_UP_AFTER = 600.0  # and after which it is an error
POLL = 1.0  # seconds between two looks at the processes, and of theirs at who started them


class WorkerWarning(UserWarning):
    """A process that reads ahead was killed and replaced, or takes very long."""


class _WorkerDiedError(Exception):
    """A process that reads ahead is no more."""


def fetch(
    reader: Reader[Read],
    chunks: Sequence[np.ndarray],
    workers: int,
    describe: Callable[[np.ndarray], str] = str,
) -> Iterator[Read]:
    """Give `reader(chunk)` for each chunk, in order, read ahead by up to `workers` processes.

    The processes ignore SIGINT and SIGTERM: who started them ends them, once a batch is done; and
    if that process is killed, they end by themselves. Those that are killed are replaced by half
    as many.

    Args:
        reader: Runs in the processes.
        chunks: What to read.
        workers: At least 1.
        describe: Names what is in a chunk, for messages.

    Raises:
        UserError: What `reader` raised, in the words it was raised with.
        InputError: Processes were killed again and again, or give nothing for `GIVE_UP_AFTER`.
    """
    done, killed = 0, 0
    while done < len(chunks):
        try:
            for result in _read(reader, chunks[done:], workers, describe):
                if isinstance(result, UserError):
                    raise result
                yield result
                done += 1
        except _WorkerDiedError as error:
            killed += 1
            what = "a process that reads images ahead has died, as it does when memory runs out"
            if killed > RESTARTS:
                raise InputError(f"{what}: take fewer than {workers} workers") from error
            workers = max(1, workers // 2)
            warnings.warn(f"{what}; going on with {workers}", WorkerWarning, stacklevel=2)


def _read(
    reader: Reader[Read],
    chunks: Sequence[np.ndarray],
    workers: int,
    describe: Callable[[np.ndarray], str],
) -> Iterator[Read | UserError]:
    results, processes = _started(_Chunks(reader, chunks), min(workers, len(chunks)))
    try:
        for chunk in chunks:
            yield _next(results, processes, partial(describe, chunk))
    finally:
        del results  # with it torch ends the processes,
        _kill(processes)  # unless the traceback of an error still holds it


def _next(
    results: Iterator[Read | UserError],
    processes: list[BaseProcess],
    describe: Callable[[], str],
) -> Read | UserError:
    begun, told = time.monotonic(), False
    while True:
        try:
            return next(results)
        except (RuntimeError, OSError, EOFError) as error:  # by the moment at which one died
            if wait([process.sentinel for process in processes], timeout=0.1):
                raise _WorkerDiedError from error
            if not str(error).startswith("DataLoader timed out"):
                raise
        waited = time.monotonic() - begun
        if waited > GIVE_UP_AFTER:
            raise InputError(
                f"nothing came in {waited:.0f} s from the processes that read "
                f"{describe()}: can these files be read?"
            )
        if waited > NOTICE_AFTER and not told:
            told = True
            warnings.warn(
                f"waiting for {waited:.0f} s for the processes that read {describe()}",
                WorkerWarning,
                stacklevel=2,
            )


class _Chunks(Dataset[Read | UserError], Generic[Read]):
    """The batches by number, as torch's loader asks for them; runs in the workers."""

    def __init__(self, reader: Reader[Read], chunks: Sequence[np.ndarray]) -> None:
        self.reader, self.chunks = reader, chunks

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, index: int) -> Read | UserError:
        try:
            return self.reader(self.chunks[index])
        except UserError as error:
            return error  # torch would add the worker's traceback to the message
        except MemoryError:
            return InputError("memory ran out while images were read: take fewer workers")


def _started(
    chunks: _Chunks[Read], workers: int
) -> tuple[Iterator[Read | UserError], list[BaseProcess]]:
    others = multiprocessing.active_children()
    with _signals_held(), warnings.catch_warnings():
        # torch advises against more workers than processors; the caller has chosen
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)  # our choice
        results = iter(
            DataLoader(
                chunks,
                batch_size=None,
                num_workers=workers,
                worker_init_fn=partial(_serve_only, os.getpid()),
                timeout=POLL,
                # other ways to start would pickle the images, and one has a parent of its own
                multiprocessing_context="fork" if sys.platform == "linux" else "spawn",
                generator=torch.Generator(),  # torch would draw from its global one
            )
        )
    processes = [p for p in multiprocessing.active_children() if p not in others]
    # at exit, multiprocessing would wait for ever for processes that ignore its SIGTERM
    weakref.finalize(results, _kill, processes)
    return results, processes


@contextlib.contextmanager
def _signals_held() -> Generator[None]:
    """Start processes that no signal reaches before they ignore it; keep our own handlers.

    torch sets a handler of SIGCHLD, which raises in the midst of whatever runs when a process
    dies; without it, the error comes from `next()`.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    handler = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        # only the main thread may set handlers: elsewhere torch sets none either
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _serve_only(parent: int, worker: int) -> None:  # noqa: ARG001
    """Be deaf to signals, and end with the process that has started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL)
    os._exit(0)


def _kill(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.kill()
        process.join()
