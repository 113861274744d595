"""Measure in several processes at once, one thread each: thin networks gain little from threads.

A measurement depends on its case and seed alone, so the result is the same for any number of
processes.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import torch

from convatlas.errors import InputError
from convatlas.studies.events import Going, StudyProgress
from convatlas.studies.measurement import Place, measure
from convatlas.studies.registry import find_study
from convatlas.studies.study import Scale
from convatlas.train.signals import StoppedError

POLL = 0.2  # seconds between looks at whether to stop


class Task(NamedTuple):
    """What is sent to a process: names, for what a study holds can't be sent."""

    study: str
    scale: Scale
    case: str
    seed: int
    place: Place


_shared: Any = None  # of a process of the pool: what says whether to stop, and what is told


def measured_by_processes(
    tasks: Sequence[Task],
    workers: int,
    threads: int,
    *,
    stop: Callable[[], bool],
    progress: StudyProgress,
) -> Iterator[tuple[Task, dict[str, Any]]]:
    """Measure; give each task with its measurement as it comes.

    Raises:
        StoppedError: `stop` said so; every process has kept its state.
        InputError: A process was killed.
        UserError: What a measurement raises; the others are stopped.
    """
    context = multiprocessing.get_context("spawn")
    halt, told = context.Event(), context.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(told, progress), daemon=True)
    listener.start()
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, context, initializer=_enter, initargs=((halt, told), threads)
    )
    try:
        waiting = {pool.submit(_measured, task): task for task in tasks}
        while waiting:
            done, _ = concurrent.futures.wait(
                waiting, POLL, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                yield waiting.pop(future), future.result()
            if stop():
                raise StoppedError
    except BrokenProcessPool as error:
        raise InputError(
            "a process that measured was killed, perhaps for want of memory: go on with --resume, "
            "and fewer --workers"
        ) from error
    finally:
        halt.set()
        pool.shutdown(wait=True, cancel_futures=True)
        told.put(None)
        listener.join()


def _listen(told: Any, progress: StudyProgress) -> None:
    while (event := told.get()) is not None:
        progress(event)


def _enter(shared: Any, threads: int) -> None:
    """Begin as a process of the pool: Ctrl-C is for the parent, whose end is the end of all."""
    global _shared
    _shared = shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _measured(task: Task) -> dict[str, Any]:
    halt, told = _shared
    [case] = [c for c in find_study(task.study).cases(task.scale) if c.name == task.case]

    def tell(epoch: int, epochs: int) -> None:
        with contextlib.suppress(OSError):  # the parent has gone
            told.put(Going(task.study, task.case, task.seed, epoch, epochs))

    return measure(task.place, case, task.seed, stop=halt.is_set, told=tell)
