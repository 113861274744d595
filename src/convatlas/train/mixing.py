"""Mix the images of a batch with each other, and their labels by the same shares."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from convatlas.errors import InputError
from convatlas.recipe import Mixing, Mixup


def mixed(
    images: Tensor,
    labels: Tensor,
    num_classes: int,
    ops: Sequence[Mixing],
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Mix a batch with itself in another order, by one of `ops`, each as likely as the others.

    As in the authors' codes, one share is drawn for the whole batch, and an image may meet itself.

    Args:
        images: (N, C, H, W); left as they are.
        labels: (N,), int64.
        num_classes: K; a label is below it.
        ops: One is drawn; none: nothing is mixed.
        rng: All chance comes from it.

    Returns:
        The mixed images, laid out as `images`, and the share of each class in each of them,
        (N, K), which sum to 1.

    Raises:
        InputError: A label is no class.
    """
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise InputError(f"labels must be between 0 and {num_classes - 1} to be mixed")
    targets = F.one_hot(labels, num_classes).to(torch.get_default_dtype())
    if not ops:
        return images, targets
    op = ops[int(rng.integers(len(ops)))]
    order = torch.from_numpy(rng.permutation(len(images)))
    others = images[order.to(images.device)]
    share = float(rng.beta(op.alpha, op.alpha))
    if isinstance(op, Mixup):
        images = images.lerp(others, 1 - share)
    else:
        images, share = _pasted(images, others, share, rng)
    return images, targets.lerp(targets[order.to(targets.device)], 1 - share)


def _pasted(
    images: Tensor, others: Tensor, share: float, rng: np.random.Generator
) -> tuple[Tensor, float]:
    """Paste one box of `others`, and give the area that is left of `images` as a fraction.

    The box has the image's proportions and 1 - share of its area before the border cuts it (Yun
    et al. 2019, equation 2 and algorithm A1).
    """
    height, width = images.shape[2:]
    side = math.sqrt(1 - share)
    top, bottom = _span(height, int(height * side), rng)
    left, right = _span(width, int(width * side), rng)
    images = images.clone(memory_format=torch.preserve_format)
    images[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return images, 1 - (bottom - top) * (right - left) / (height * width)


def _span(length: int, part: int, rng: np.random.Generator) -> tuple[int, int]:
    """Place `part` pixels about one of `length` drawn at random, cut at both ends."""
    centre = int(rng.integers(length))
    return max(0, centre - part // 2), min(length, centre + part // 2)
