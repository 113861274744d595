"""The losses that recipes name: functions of logits, targets and weights, means over a batch.

Targets are labels (N,), or probabilities (N, classes) where images are mixed; for maps of logits
(N, classes, H, W), labels (N, H, W). A weighted loss is divided by the number of terms, not by
the sum of the weights: the loss of a batch is the mean of the losses of its parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from convatlas.errors import InputError, unknown
from convatlas.train.map_loss import map_loss


class Loss(Protocol):
    """What tells how wrong logits are."""

    def __call__(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Give the mean over all terms, each times its weight where there are weights."""
        ...


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """The cross entropy, in nats.

    Attributes:
        label_smoothing: Weight of the uniform distribution in the target; Szegedy et al. 2015
            (1512.00567), section 7.
        class_weights: Of the term of each class, (classes,); None: all 1.
    """

    label_smoothing: float = 0.0
    class_weights: Tensor | None = None

    def __call__(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Give the mean over images, or over pixels."""
        if weights is None and self.class_weights is None:
            return F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        each = None if self.class_weights is None else self.class_weights.to(logits)
        terms = F.cross_entropy(
            logits, targets, each, label_smoothing=self.label_smoothing, reduction="none"
        )
        return terms.mean() if weights is None else (terms * weights).mean()


class PenaltyMap:
    """The loss of LeNet-5, LeCun et al. 1998, equation 9."""

    def __call__(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Give the mean over images.

        Raises:
            InputError: The equation knows neither mixed labels nor weights.
        """
        if weights is not None or targets.is_floating_point():
            raise InputError("the loss lenet5_map takes one label an image, and no weights")
        return map_loss(logits, targets)


LOSSES = ("cross_entropy", "lenet5_map")


def make_loss(name: str, label_smoothing: float = 0.0, class_weights: Tensor | None = None) -> Loss:
    """Give the loss of that name.

    Args:
        name: One of `LOSSES`.
        label_smoothing: See `CrossEntropy`.
        class_weights: See `CrossEntropy`.

    Raises:
        UnknownNameError: There is none of that name; the message lists the nearest.
        InputError: Only the cross entropy has a smoothed or a weighted form.
    """
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    if name == "cross_entropy":
        return CrossEntropy(label_smoothing, class_weights)
    if label_smoothing:
        raise InputError(f"the loss {name} takes no label_smoothing; got {label_smoothing}")
    if class_weights is not None:
        raise InputError(f'the loss {name} takes no weights of classes: set balance="none"')
    return PenaltyMap()


def balancing_weights(labels: Sequence[int], num_classes: int) -> Tensor:
    """Weigh each class by the inverse of its share, so that the mean over all images is 1.

    Args:
        labels: The class of each image.
        num_classes: Classes in all.

    Returns:
        (num_classes,); 0 for a class without images.
    """
    counts = torch.bincount(torch.as_tensor(labels), minlength=num_classes).double()
    present = counts > 0
    weights = torch.where(present, len(labels) / (present.sum() * counts.clamp(min=1)), 0.0)
    return weights.float()
