"""One engine with one network, prepared in a process of its own."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from convatlas.catalog import build, find, input_shape_of
from convatlas.engines.engine import Precision
from convatlas.engines.optimize import optimize
from convatlas.engines.turns import Ready
from convatlas.errors import UnknownNameError
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
    images = None
    if job.precision == "int8":  # random ones will do to tell how quick it is
        images = torch.randn(max(CALIBRATION_IMAGES, job.batch), *shape, generator=draw)
    begun = time.perf_counter()
    ready = optimize(model, x, job.engine, job.precision, images=images)
    facts = {
        "prepare_seconds": time.perf_counter() - begun,
        "relative_error": ready.agreement.relative_error,
        "threads": torch.get_num_threads(),
        "report": ready.report,
    }
    return Ready(ready, x, facts)


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
