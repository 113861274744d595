"""Turn the optimizer that a recipe names into torch's."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.nn import Parameter

from convatlas.errors import InputError
from convatlas.recipe import SGD, Adam, DiagonalLM, Optimizer, RMSProp
from convatlas.train.diagonal_lm import DiagonalLevenbergMarquardt
from convatlas.train.momentum import CaffeSGD
from convatlas.train.rmsprop import TensorFlowRMSProp


def make_optimizer(
    optimizer: Optimizer,
    parameters: Iterable[Parameter] | Iterable[dict[str, Any]],
    *,
    fused: bool = False,
) -> torch.optim.Optimizer:
    """Build the optimizer for parameters, or for groups of them; all decay unless a group differs.

    `fused` changes each weight in one pass through memory, where torch has that: SGD and Adam. It
    rounds otherwise in the last bit.

    With gradient g, weights w and rate r, a step is:

    - SGD: g += weight_decay w; v = momentum v + g; w -= r v. With Nesterov's momentum the step
      is r (g + momentum v). In Caffe's form the rate is inside, see `CaffeSGD`: the same while
      it is constant; after a change of it, Caffe's steps follow slowly.
    - RMSProp: g += weight_decay w; s = decay s + (1 - decay) g^2; v = momentum v +
      g / (sqrt(s) + eps); w -= r v. TensorFlow's form: see `TensorFlowRMSProp`.
    - Adam: w -= r weight_decay w, then the step of Kingma & Ba 2015, algorithm 1.
    - DiagonalLM: w -= r g / (mu + h); see `DiagonalLevenbergMarquardt`.

    Raises:
        InputError: A value that the optimizer can't take, such as a negative momentum.
    """
    try:
        match optimizer:
            case SGD(form="caffe"):
                if optimizer.nesterov:
                    raise ValueError("Nesterov's momentum is there in torch's form only")
                return CaffeSGD(
                    parameters,
                    optimizer.lr,
                    momentum=optimizer.momentum,
                    weight_decay=optimizer.weight_decay,
                    fused=fused,
                )
            case DiagonalLM():
                return DiagonalLevenbergMarquardt(
                    parameters,
                    optimizer.lr,
                    mu=optimizer.mu,
                    weight_decay=optimizer.weight_decay,
                )
            case SGD():
                return torch.optim.SGD(
                    parameters,
                    lr=optimizer.lr,
                    momentum=optimizer.momentum,
                    weight_decay=optimizer.weight_decay,
                    nesterov=optimizer.nesterov,
                    fused=fused,
                )
            case RMSProp(form="tensorflow"):
                return TensorFlowRMSProp(
                    parameters,
                    optimizer.lr,
                    decay=optimizer.decay,
                    momentum=optimizer.momentum,
                    eps=optimizer.eps,
                    weight_decay=optimizer.weight_decay,
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
                    fused=fused,
                )
    except ValueError as error:
        raise InputError(f"optimizer: {error}") from error


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter this learning rate, times the "rate" of its group where it has one."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate", 1.0)
