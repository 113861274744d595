"""A network as one graph of operations, by `torch.export`: what every format starts from."""

import contextlib
import logging
import warnings
from collections.abc import Generator
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from convatlas.errors import InputError
from convatlas.evaluate.modes import eval_mode

BATCH = 2  # of the example: torch.export takes a dimension of 1 for one that never changes
LARGER = (32, 64)  # pixels by which the example's height and width are raised, to differ


@contextlib.contextmanager
def quietly() -> Generator[None]:
    """Keep converters from telling what concerns their authors only."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def trace(model: nn.Module, image_shape: tuple[int, ...], any_size: bool = True) -> ExportedProgram:
    """Trace a network for any number of images.

    Args:
        model: On the CPU; left in its mode.
        image_shape: Channels, height and width.
        any_size: Let height and width vary too, where the network takes several sizes.

    Raises:
        InputError: torch.export can't take the network.
    """
    channels, height, width = image_shape
    batch = Dim("batch", min=1)
    fixed: dict[int, Any] = {0: batch}
    free = fixed | {2: Dim.AUTO, 3: Dim.AUTO}
    tries = [(height + LARGER[0], width + LARGER[1], free)] if any_size else []
    reason = ""
    for rows, columns, sizes in [*tries, (height, width, fixed)]:
        images = torch.zeros(BATCH, channels, rows, columns)
        try:
            with quietly(), eval_mode(model), torch.no_grad():
                program = torch.export.export(model, (images,), dynamic_shapes=(sizes,))
        except Exception as error:  # it raises errors of a dozen kinds, and InputError of ours
            reason = str(error).strip().partition("\n")[0]
            continue
        if sizes is fixed or takes_any_size(program):
            return program
    raise InputError(f"torch.export can't take {type(model).__name__}: {reason}")


def takes_any_size(program: ExportedProgram) -> bool:
    """Say whether height and width of the images may vary."""
    return all(not isinstance(size, int) for size in input_sizes(program)[2:])


def input_sizes(program: ExportedProgram) -> tuple[Any, ...]:
    """Give the sizes of the images; those that may vary are symbols."""
    name = program.graph_signature.user_inputs[0]
    node = next(node for node in program.graph.nodes if node.name == name)
    return tuple(node.meta["val"].shape)
