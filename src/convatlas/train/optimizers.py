"""Turn the optimizer that a recipe names into torch's."""

from collections.abc import Iterable

import torch
from torch.nn import Parameter

from convatlas.errors import InputError
from convatlas.recipe import SGD, Adam, Optimizer, RMSProp


def make_optimizer(optimizer: Optimizer, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
    """Build the optimizer for `parameters`; every one of them decays, as in the papers.

    With gradient g, weights w and rate r, a step is:

    - SGD: g += weight_decay w; v = momentum v + g; w -= r v. With Nesterov's momentum the step
      is r (g + momentum v). Krizhevsky et al. 2012 put the rate inside, v = momentum v - r g and
      w += v: the same while the rate is constant; after a change of it, theirs follows slowly.
    - RMSProp: g += weight_decay w; s = decay s + (1 - decay) g^2; v = momentum v +
      g / (sqrt(s) + eps); w -= r v. TensorFlow, with which Inception and EfficientNet were
      trained, starts s at 1, has eps inside the root and the rate inside v.
    - Adam: w -= r weight_decay w, then the step of Kingma & Ba 2015, algorithm 1.

    Raises:
        InputError: A value that the optimizer can't take, such as a negative momentum.
    """
    try:
        match optimizer:
            case SGD():
                return torch.optim.SGD(
                    parameters,
                    lr=optimizer.lr,
                    momentum=optimizer.momentum,
                    weight_decay=optimizer.weight_decay,
                    nesterov=optimizer.nesterov,
                )
            case RMSProp():
                return torch.optim.RMSprop(
                    parameters,
                    lr=optimizer.lr,
                    alpha=optimizer.decay,
                    momentum=optimizer.momentum,
                    eps=optimizer.eps,
                    weight_decay=optimizer.weight_decay,
                )
            case Adam():
                return torch.optim.AdamW(
                    parameters,
                    lr=optimizer.lr,
                    betas=optimizer.betas,
                    eps=optimizer.eps,
                    weight_decay=optimizer.weight_decay,
                )
    except ValueError as error:
        raise InputError(f"optimizer: {error}") from error


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
