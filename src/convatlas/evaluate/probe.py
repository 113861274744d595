"""A linear probe: how well one linear layer tells classes apart by fixed features.

Alain & Bengio 2016, "Understanding intermediate layers using linear classifier probes"
(https://arxiv.org/abs/1610.01644).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from convatlas.data.splits import stratified_order
from convatlas.errors import InputError
from convatlas.evaluate.descriptors import Descriptors
from convatlas.evaluate.metrics import ranks, top_k_accuracy

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
FOLDS = 3
_ROUNDS = 200  # of L-BFGS; a probe of some thousand images is done in fewer


@dataclass(frozen=True, slots=True)
class Probe:
    """A linear classifier on standardised features, and how good it is.

    Attributes:
        weight: (classes, D).
        bias: (classes,).
        mean: What is subtracted from features, (D,).
        scale: What they are divided by, (D,).
        penalty: Weight of half the squared norm of `weight`, beside the mean cross entropy.
        train_accuracy: On what it was fitted to.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor
    penalty: float
    train_accuracy: float

    def logits(self, vectors: np.ndarray) -> Tensor:
        """Give (N, classes) for features (N, D).

        Raises:
            InputError: Features of another length.
        """
        x = torch.from_numpy(np.asarray(vectors, np.float64))
        if x.dim() != 2 or x.shape[1] != self.mean.shape[0]:
            raise InputError(f"this probe takes (N, {self.mean.shape[0]}), not {tuple(x.shape)}")
        return (x - self.mean) / self.scale @ self.weight.T + self.bias

    def accuracy(self, descriptors: Descriptors, k: int = 1) -> float:
        """Give the top-k accuracy on other images."""
        labels = torch.from_numpy(descriptors.labels)
        return top_k_accuracy(ranks(self.logits(descriptors.vectors), labels), k)


def fit_probe(
    descriptors: Descriptors, penalties: Sequence[float] = PENALTIES, seed: int = 0
) -> Probe:
    """Fit multinomial logistic regression, its penalty chosen by cross-validation.

    The optimum is the only one: the problem is convex, and L-BFGS solves it in float64.

    Args:
        descriptors: Features of training images; no others choose anything.
        penalties: To choose from; a single one is taken as it is.
        seed: Of the folds.

    Raises:
        InputError: Fewer than two classes, too few images, values that are not finite.
    """
    x = torch.from_numpy(descriptors.vectors.astype(np.float64))
    y = torch.from_numpy(descriptors.labels.astype(np.int64))
    _check(x, y, penalties)
    classes = max(len(descriptors.classes), int(y.max()) + 1)
    penalty = penalties[0]
    if len(penalties) > 1:
        scores = [_cross_validated(x, y, classes, p, seed) for p in penalties]
        penalty = penalties[int(np.argmax(scores))]
    return _fitted(x, y, classes, penalty)


def _check(x: Tensor, y: Tensor, penalties: Sequence[float]) -> None:
    if len(y.unique()) < 2:
        raise InputError("a probe needs images of at least two classes")
    if len(penalties) > 1 and len(y) < 2 * FOLDS:
        raise InputError(f"choosing a penalty needs at least {2 * FOLDS} images, not {len(y)}")
    if not penalties or any(not 0 < p < float("inf") for p in penalties):
        raise InputError(f"penalties are positive numbers, not {list(penalties)}")
    if not torch.isfinite(x).all():
        raise InputError("the features are not finite (nan or infinity)")


def _cross_validated(x: Tensor, y: Tensor, classes: int, penalty: float, seed: int) -> float:
    right = 0
    for part in np.array_split(stratified_order(y.numpy(), seed), FOLDS):
        held = torch.zeros(len(y), dtype=torch.bool)
        held[torch.from_numpy(part)] = True
        probe = _fitted(x[~held], y[~held], classes, penalty)
        right += int((probe.logits(x[held].numpy()).argmax(dim=1) == y[held]).sum())
    return right / len(y)


def _fitted(x: Tensor, y: Tensor, classes: int, penalty: float) -> Probe:
    mean, scale = x.mean(dim=0), x.std(dim=0, correction=0)
    scale = torch.where(scale > 0, scale, 1.0)  # a feature that never changes tells nothing
    standard = (x - mean) / scale
    weight = torch.zeros(classes, x.shape[1], dtype=x.dtype, requires_grad=True)
    bias = torch.zeros(classes, dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_ROUNDS,
        tolerance_grad=1e-6,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(standard @ weight.T + bias, y) + penalty / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        right = (standard @ weight.T + bias).argmax(dim=1) == y
    return Probe(weight.detach(), bias.detach(), mean, scale, penalty, float(right.double().mean()))
