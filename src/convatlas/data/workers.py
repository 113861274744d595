"""Processes that read batches ahead: torch's, made deaf to the signals that end a run."""

import contextlib
import multiprocessing
import signal
import threading
import warnings
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from convatlas.errors import InputError, UserError

Read = TypeVar("Read")  # a tensor, or a list of tensors
Reader = Callable[[np.ndarray], Read]


def fetch(reader: Reader[Read], chunks: Sequence[np.ndarray], workers: int) -> Iterator[Read]:
    """Give `reader(chunk)` for each chunk, in order, read ahead by up to `workers` processes.

    The processes ignore SIGINT and SIGTERM: who started them ends them, once a batch is done.

    Raises:
        UserError: What `reader` raised, in the words it was raised with.
        InputError: A process was killed.
    """
    if not chunks:
        return
    results, processes = _started(_Chunks(reader, chunks), min(workers, len(chunks)))
    try:
        for _ in chunks:
            result = _next(results, processes)
            if isinstance(result, UserError):
                raise result
            yield result
    finally:
        del results  # with it torch ends the processes,
        _kill(processes)  # unless the traceback of an error still holds it


def _next(results: Iterator[Read | UserError], processes: list[BaseProcess]) -> Read | UserError:
    try:
        return next(results)
    except (RuntimeError, OSError, EOFError) as error:  # by the moment at which a process died
        if not wait([process.sentinel for process in processes], timeout=1):
            raise
        raise InputError(
            "a process that reads images ahead has died, as it does when memory runs out: "
            f"take fewer than {len(processes)} workers"
        ) from error


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


def _started(
    chunks: _Chunks[Read], workers: int
) -> tuple[Iterator[Read | UserError], list[BaseProcess]]:
    others = multiprocessing.active_children()
    with _signals_held(), warnings.catch_warnings():
        # torch advises against more workers than processors; the caller has chosen
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)  # torch's choice
        results = iter(
            DataLoader(
                chunks,
                batch_size=None,
                num_workers=workers,
                worker_init_fn=_ignore_signals,
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


def _ignore_signals(worker: int) -> None:  # noqa: ARG001
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _kill(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.kill()
        process.join()
