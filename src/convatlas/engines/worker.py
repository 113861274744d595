"""One engine with one network in a process of its own, which runs it when it is told to."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.catalog import build, input_shape_of
from convatlas.engines.engine import Precision
from convatlas.engines.memory import forget_peak, keep_memory, peak_bytes
from convatlas.engines.optimize import Optimized, optimize
from convatlas.engines.timing import block_ms
from convatlas.errors import UserError

SEED = 0
CALIBRATION_IMAGES = 16


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is to run.

    Attributes:
        network: Its name; weights are fresh.
        batch: Images at a time.
        engine: Its name.
        precision: To compute in.
        input_shape: (channels, height, width); None: the paper's.
        threads: To compute on; 0: torch's own number.
        keep_memory: See `convatlas.engines.memory.keep_memory`.
    """

    network: str
    batch: int
    engine: str
    precision: Precision = "float32"
    input_shape: tuple[int, int, int] | None = None
    threads: int = 0
    keep_memory: bool = False


def work(connection: Connection, job: Job) -> None:
    """Prepare a network, tell how that went, then answer each number of seconds that comes.

    The first message is a dict of what was prepared, or of one line under "refused". For each
    number the network runs about so many seconds; the answer is the mean of a batch in
    milliseconds and the peak of the process's memory since it was ready. None ends it.
    """
    try:
        ready, x = _prepared(job, connection)
    except (UserError, MemoryError) as error:
        connection.send({"refused": str(error) or "memory ran out"})
        return
    forget_peak()
    while (seconds := connection.recv()) is not None:
        connection.send((block_ms(ready, x, seconds), peak_bytes()))


def _prepared(job: Job, connection: Connection) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    if job.threads:
        torch.set_num_threads(job.threads)
    if job.keep_memory:
        keep_memory()
    shape = job.input_shape or input_shape_of(job.network)
    draw = torch.Generator().manual_seed(SEED)
    x = torch.randn(job.batch, *shape, generator=draw)
    model = fresh(job.network, shape)
    images = None
    if job.precision == "int8":  # random ones will do to tell how quick it is
        images = torch.randn(max(CALIBRATION_IMAGES, job.batch), *shape, generator=draw)
    begun = time.perf_counter()
    ready = optimize(model, x, job.engine, job.precision, images=images)
    connection.send(_facts(ready, time.perf_counter() - begun))
    return ready, x


def _facts(ready: Optimized, seconds: float) -> dict[str, Any]:
    return {
        "prepare_seconds": seconds,
        "relative_error": ready.agreement.relative_error,
        "threads": torch.get_num_threads(),
        "report": ready.report,
    }


def fresh(name: str, shape: tuple[int, int, int]) -> nn.Module:
    """Build a network whose norms know what values come, in evaluation mode."""
    torch.manual_seed(SEED)
    return settle(build(name, in_channels=shape[0]), torch.randn(4, *shape))


def settle(model: nn.Module, images: Tensor) -> nn.Module:
    """Give the norms the statistics of images, and put the network in evaluation mode.

    With those of a fresh network, 0 and 1, the values of a deep one grow past all bounds or fade.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean over what is seen
    if norms:
        with torch.no_grad():
            model.train()(images)
    return model.eval()
