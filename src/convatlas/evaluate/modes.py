"""Evaluation mode, and back to the modes that were."""

import contextlib
from collections.abc import Generator

from torch import nn


@contextlib.contextmanager
def eval_mode(model: nn.Module) -> Generator[None]:
    """Put every module of `model` in evaluation mode; restore each one's own mode at the end.

    A network under fine-tuning may hold frozen norms in evaluation mode inside a network in
    training mode, so one flag for all of them would not be enough.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
