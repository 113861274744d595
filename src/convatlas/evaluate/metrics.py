"""Metrics of a classifier: plain functions of logits, labels and predictions."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from convatlas.errors import InputError


def ranks(logits: Tensor, labels: Tensor) -> Tensor:
    """Count the classes that are placed above the true one; 0 is a right answer.

    Equal logits are placed by their index, so the result does not depend on a sort and a
    constant output is not right for every class at once.

    Args:
        logits: Scores, (N, classes).
        labels: True classes, (N,).

    Returns:
        Places, (N,), from 0 to classes - 1.

    Raises:
        InputError: A score is not finite, so that classes have no order.
    """
    finite = torch.isfinite(logits).all(dim=1)
    if not finite.all():
        raise InputError(
            f"the network gives logits that are not finite (nan or infinity) for "
            f"{int((~finite).sum())} of {len(logits)} images: its weights or its input are broken"
        )
    own = logits.gather(1, labels[:, None])
    index = torch.arange(logits.shape[1], device=logits.device)
    above = (logits > own) | ((logits == own) & (index < labels[:, None]))
    return above.sum(dim=1)


def top_k_accuracy(places: Tensor, k: int) -> float:
    """Give the fraction of images whose true class is among the best `k`."""
    return int((places < k).sum()) / len(places)


def confusion_matrix(labels: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """Count images by true class (rows) and predicted class (columns): (classes, classes)."""
    cells = torch.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def class_accuracies(confusion: Tensor) -> list[float | None]:
    """Give the fraction of each true class that was recognised; None for a class without images."""
    right, count = confusion.diagonal().tolist(), confusion.sum(dim=1).tolist()
    return [r / n if n else None for r, n in zip(right, count, strict=True)]


@dataclass(frozen=True, slots=True)
class ClassScores:
    """How well one class is told from the others.

    Attributes:
        count: Images of the class.
        precision: Of the images taken for it, the fraction that are; None: none were.
        recall: Of its images, the fraction recognised: the accuracy of the class; None: it has no
            images.
        f1: Harmonic mean of the two: 2 right / (images + taken for it); None without images.
    """

    count: int
    precision: float | None
    recall: float | None
    f1: float | None


def class_scores(confusion: Tensor) -> list[ClassScores]:
    """Give precision, recall and F1 of each class from a confusion matrix with true rows."""
    right = confusion.diagonal().tolist()
    counts, taken = confusion.sum(dim=1).tolist(), confusion.sum(dim=0).tolist()
    return [
        ClassScores(
            count=n,
            precision=r / t if t else None,
            recall=r / n if n else None,
            f1=2 * r / (n + t) if n else None,
        )
        for r, n, t in zip(right, counts, taken, strict=True)
    ]


def brier_scores(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Give the squared error of each image's probabilities: (N,), from 0 to 2.

    Brier 1950, "Verification of forecasts expressed in terms of probability": summed over the
    classes; 0 is certain and right, 2 certain and wrong.

    Args:
        probabilities: (N, classes).
        labels: True classes, (N,).
    """
    own = probabilities.gather(1, labels[:, None])[:, 0]
    return probabilities.square().sum(dim=1) - own.square() + (1 - own).square()


def wilson_interval(right: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Give the score interval of a fraction: 95 % for the default `z`.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference". Unlike
    the textbook interval it stays in [0, 1] and is not a point at 0 % or 100 %.

    Raises:
        InputError: `right` is not between 0 and `count`, or `count` is 0.
    """
    if not 0 <= right <= count or count == 0:
        raise InputError(f"can't tell the interval of {right} right answers out of {count}")
    fraction, spread = right / count, z * z / count
    centre = fraction + spread / 2
    half = math.sqrt(fraction * (1 - fraction) * spread + spread * spread / 4)
    low, high = (centre - half) / (1 + spread), (centre + half) / (1 + spread)
    return max(0.0, min(low, fraction)), min(1.0, max(high, fraction))
