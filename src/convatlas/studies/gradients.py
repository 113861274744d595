"""How large the gradient of the loss is at each place of a network."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.data.loader import batches
from convatlas.studies.images import Pictures
from convatlas.studies.lab import task_of


def first_batch(pictures: Pictures, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Give some training images, (count, C, H, W), as a network takes them, and their labels."""
    preprocessing = task_of(pictures).preprocessing
    batch = next(iter(batches(pictures.train, preprocessing, count, seed=seed, shuffle=True)))
    return batch.images, batch.labels


def gradient_norms(
    model: nn.Module,
    layers: Sequence[nn.Module],
    images: Tensor,
    labels: Tensor,
    *,
    cut: Sequence[nn.Module] = (),
) -> list[float]:
    """Give the norm of the gradient of the mean loss by the output of each layer.

    Args:
        model: A classifier, in the mode that it is in.
        layers: Parts of it that run once each, in the order in which they run.
        images: (N, C, H, W).
        labels: (N,).
        cut: Parts whose outputs count as constants: no gradient passes through them.
    """
    outputs = list[Tensor]()

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        outputs.append(output)

    def constant(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        return output.detach()

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    hooks += [layer.register_forward_hook(constant) for layer in cut]
    try:
        loss = nn.functional.cross_entropy(model(images), labels)
    finally:
        for hook in hooks:
            hook.remove()
    gradients = torch.autograd.grad(loss, outputs)
    # the square of 1e-25, which a long product of halves is, would be 0 in float32
    return [float(gradient.double().norm()) for gradient in gradients]
