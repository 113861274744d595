"""A network and its loss as one module: what is compiled, and what is wrapped to be distributed."""

import os
import shutil
from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.train.fused import computed, find_fused
from convatlas.train.losses import Loss

Precision = Literal["float32", "bf16"]


def check_compiler() -> None:
    """Refuse to compile where nothing can.

    Raises:
        InputError: There is no C++ compiler, which torch.compile needs on processors.
    """
    names = (os.environ.get("CXX", ""), "g++", "clang++")
    if not any(name and shutil.which(name) for name in names):
        raise InputError("--compile needs a C++ compiler, g++ or clang++; there is none on PATH")


class Learner(nn.Module):
    """Gives the loss of a batch: (N, C, H, W) and its targets -> a number, and the logits.

    The parameters are those of `model`: to train one is to train the other.

    Args:
        model: The network.
        loss: See `convatlas.train.losses`.
        sides: Add the losses of the network's side classifiers, with the paper's weights.
        precision: "bf16" computes the network in bfloat16 where that is safe, by autocast; the
            weights, their gradients and the loss stay float32.
        fused: Compute some layers by operations of our own; see `convatlas.train.fused`.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        *,
        sides: bool = False,
        precision: Precision = "float32",
        fused: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.loss, self.sides, self.precision = model, loss, sides, precision
        self.fused = find_fused(model) if fused else []

    def forward(
        self, images: Tensor, targets: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Give the mean loss over a batch and the logits, both float32.

        Args:
            images: (N, C, H, W).
            targets: What `loss` compares the logits with.
            weights: Of each term of the loss, where the task has them.
        """
        coarse = self.precision == "bf16"
        cast = torch.autocast(images.device.type, torch.bfloat16) if coarse else nullcontext()
        with cast, computed(self.fused) if self.fused else nullcontext():
            if self.sides:
                model: Any = self.model  # only some networks have this method
                logits, sides = model.forward_with_sides(images)
            else:
                logits, sides = self.model(images), ()
        logits = logits.float()
        loss = self.loss(logits, targets, weights)
        for side in sides:
            loss = loss + side.weight * self.loss(side.logits.float(), targets, weights)
        return loss, logits
