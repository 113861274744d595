"""The losses of segmentation: functions of logits (N, classes, H, W) and classes (N, H, W)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from convatlas.errors import InputError, unknown
from convatlas.train.losses import CrossEntropy, Loss

PIXEL_LOSSES = (
    "cross_entropy",
    "border_weighted",  # Ronneberger et al. 2015, equations 1 and 2: w0 = 10, sigma = 5 pixels
    "cross_entropy_dice",
)


@dataclass(frozen=True, slots=True)
class CrossEntropyDice:
    """The cross entropy and 1 - Dice, which does not care how rare a class is.

    Soft Dice of probabilities (Milletari et al. 2016, 1606.04797, equation 1, without the squares),
    mean over the classes of each image. Isensee et al. 2021 (nnU-Net) train with this sum.

    Attributes:
        smooth: Added to both sides of the fraction: a class that an image lacks does no harm.
    """

    smooth: float = 1.0

    def __call__(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Give the mean over images; `weights` are those of pixels in the cross entropy."""
        known = (targets >= 0)[:, None]
        truth = F.one_hot(targets.clamp(min=0), logits.shape[1]).movedim(-1, 1) * known
        probabilities = logits.softmax(dim=1) * known
        overlap = 2 * (probabilities * truth).sum(dim=(2, 3)) + self.smooth
        dice = overlap / ((probabilities + truth).sum(dim=(2, 3)) + self.smooth)
        return CrossEntropy()(logits, targets, weights) + (1 - dice).mean()


def make_pixel_loss(name: str, label_smoothing: float = 0.0) -> Loss:
    """Give the loss of that name; pixels without a class count nowhere.

    The weights of "border_weighted" come with the tiles: `convatlas.data.tiles.PixelWeights`.

    Args:
        name: One of `PIXEL_LOSSES`.
        label_smoothing: See `convatlas.train.losses.CrossEntropy`.

    Raises:
        UnknownNameError: There is none of that name; the message lists the nearest.
        InputError: The Dice loss has no smoothed form.
    """
    if name not in PIXEL_LOSSES:
        raise unknown("loss of segmentation", name, PIXEL_LOSSES)
    if name != "cross_entropy_dice":
        return CrossEntropy(label_smoothing)
    if label_smoothing:
        raise InputError(f"the loss {name} takes no label_smoothing; got {label_smoothing}")
    return CrossEntropyDice()


def count_right(logits: Tensor, targets: Tensor) -> tuple[int, int]:
    """Count the pixels whose class is right, and those that have one."""
    known = targets >= 0
    right = (logits.argmax(dim=1) == targets) & known
    return int(right.sum()), int(torch.count_nonzero(known))
