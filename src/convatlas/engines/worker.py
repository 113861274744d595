"""One engine with one network, prepared in a process of its own."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.catalog import build, find, input_shape_of
from convatlas.engines.engine import Order, Precision
from convatlas.engines.optimize import optimize
from convatlas.engines.roster import find_engine
from convatlas.engines.turns import Ready, Run
from convatlas.errors import UnknownNameError
from convatlas.export.agreement import compare
from convatlas.memory import keep_memory
from convatlas.weights.store import load, read_stored

SEED = 0
CALIBRATION_IMAGES = 16


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is to run.

    Attributes:
        network: Its name, with fresh weights; or a run folder or a file of weights.
        batch: Images at a time.
        engine: Its name.
        precision: To compute in.
        input_shape: (channels, height, width); None: the paper's.
        threads: To compute on; 0: torch's own number.
        keep_memory: See `convatlas.memory.keep_memory`.
    """

    network: str
    batch: int
    engine: str
    precision: Precision = "float32"
    input_shape: tuple[int, int, int] | None = None
    threads: int = 0
    keep_memory: bool = False


def prepared(job: Job) -> Ready:
    """Build and prepare a network, and tell how that went.

    Raises:
        UserError: It can't be; one clear line.
    """
    if job.threads:
        torch.set_num_threads(job.threads)
    if job.keep_memory:
        keep_memory()
    model, shape = opened(job.network, job.input_shape)
    draw = torch.Generator().manual_seed(SEED)
    x = torch.randn(job.batch, *shape, generator=draw)
    begun = time.perf_counter()
    if job.precision == "int8":
        run, error, report = _in_8_bits(job.engine, model, x)
    else:
        run = optimize(model, x, job.engine, job.precision)
        error, report = run.agreement.relative_error, run.report
    facts = {
        "prepare_seconds": time.perf_counter() - begun,
        "relative_error": error,
        "threads": torch.get_num_threads(),
        "report": report,
    }
    return Ready(run, x, facts)


def _in_8_bits(engine: str, model: nn.Module, x: Tensor) -> tuple[Run, float, Any]:
    """Calibrate with random images: they tell how quick it is, and no error is too large."""
    count, draw = max(CALIBRATION_IMAGES, len(x)), torch.Generator().manual_seed(SEED + 1)
    images = torch.randn(count, *x.shape[1:], generator=draw)
    ready = find_engine(engine).prepare(Order(model, x, "int8", images))
    with torch.inference_mode():
        error = compare(model(x), ready.run(x), 1.0).relative_error
    return ready.run, error, ready.report()


def check_network(network: str) -> None:
    """Refuse what is neither the name of a network nor a trained one.

    Raises:
        UnknownNameError: No network is called so.
        FileError: There is no such file, or it can't be read.
    """
    try:
        find(network)
    except UnknownNameError:
        if not _is_place(network):
            raise
        read_stored(network)


def opened(
    network: str, input_shape: tuple[int, int, int] | None = None
) -> tuple[nn.Module, tuple[int, int, int]]:
    """Open a trained network, or build one with fresh weights; give it with the shape of an image.

    Args:
        network: A name; or a run folder or a file of weights.
        input_shape: (channels, height, width); None: what it was trained with, or the paper's.

    Raises:
        UserError: There is no such network.
    """
    try:
        find(network)
    except UnknownNameError:
        model, metadata = load(network)
        size = metadata.get("preprocessing", {}).get("size")
        height, width = size or input_shape_of(metadata["architecture"])[1:]
        return model, input_shape or (metadata["in_channels"], height, width)
    shape = input_shape or input_shape_of(network)
    return fresh(network, shape), shape


def _is_place(network: str) -> bool:
    path = Path(network)
    return path.exists() or bool(path.suffix) or len(path.parts) > 1


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
