"""Occlusion: what happens to a class score when a square of the image is hidden.

Zeiler, Fergus 2013, "Visualizing and Understanding Convolutional Networks", section 4.2 and
figure 7: https://arxiv.org/abs/1311.2901
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.evaluate.modes import eval_mode
from convatlas.visualize.labels import Labels, chosen_labels, class_scores
from convatlas.visualize.scores import prepared, widened


@dataclass(frozen=True, slots=True)
class Occluded:
    """What a network says of each image with a square hidden at each place.

    Attributes:
        tops: First rows of the squares, (rows,).
        lefts: First columns, (columns,).
        size: Side of the squares, pixels.
        drops: Score of the class without a square, minus the one with it, (N, rows, columns).
        probabilities: Of the class, (N, rows, columns): figure 7 (d).
        classes: The most probable one, (N, rows, columns): figure 7 (e).
    """

    tops: Tensor
    lefts: Tensor
    size: int
    drops: Tensor
    probabilities: Tensor
    classes: Tensor


def occlusion(
    model: nn.Module,
    images: Tensor,
    labels: Labels = None,
    *,
    size: int | None = None,
    stride: int | None = None,
    fill: float = 0.0,
) -> Tensor:
    """Give for each pixel the mean drop of the class score over the squares that hide it.

    Args:
        model: A classifier; left as it was.
        images: Preprocessed, (N, C, H, W).
        labels: Class to explain: one, or one for each image; the top class of each when not given.
        size: Side of the square, pixels; a quarter of the shorter side when not given.
        stride: Pixels from one square to the next; a quarter of the square when not given.
        fill: Of the square; 0 is the mean colour of the data set where images are normalised.

    Returns:
        Signed, (N, H, W): above 0 where the class needs the pixels.

    Raises:
        InputError: No such class; a square larger than the image, or a stride that leaves gaps.
    """
    found = occlude(model, images, labels, size=size, stride=stride, fill=fill)
    total = torch.zeros(len(images), *images.shape[2:], dtype=found.drops.dtype)
    total = total.to(found.drops.device)
    count = torch.zeros_like(total[0])
    for row, top in enumerate(found.tops.tolist()):
        for column, left in enumerate(found.lefts.tolist()):
            square = (..., slice(top, top + found.size), slice(left, left + found.size))
            total[square] += found.drops[:, row, column, None, None]
            count[square] += 1
    return total / count


@torch.no_grad()
def occlude(
    model: nn.Module,
    images: Tensor,
    labels: Labels = None,
    *,
    size: int | None = None,
    stride: int | None = None,
    fill: float = 0.0,
) -> Occluded:
    """Hide a square at each place and record what the network says.

    The last square of a row or column ends at the border, so that each pixel is hidden once.
    Arguments and errors are those of `occlusion`.
    """
    clean = prepared(model, images)
    size, stride = _checked(clean, size, stride)
    tops, lefts = (_starts(side, size, stride) for side in clean.shape[2:])
    with eval_mode(model):
        logits = model(clean)
        chosen = chosen_labels(logits, labels)
        before = widened(class_scores(logits, chosen))
        rows = [_row(model, clean, chosen, top, lefts, size, fill) for top in tops]
    scores, probabilities, classes = (torch.stack(each, dim=1) for each in zip(*rows, strict=True))
    return Occluded(
        torch.tensor(tops),
        torch.tensor(lefts),
        size,
        before[:, None, None] - scores,
        probabilities,
        classes,
    )


def _row(
    model: nn.Module,
    clean: Tensor,
    chosen: Tensor,
    top: int,
    lefts: list[int],
    size: int,
    fill: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Give score, probability and top class for each square of one row: (N, columns) each."""
    said = []
    for left in lefts:
        hidden = clean.clone()
        hidden[:, :, top : top + size, left : left + size] = fill
        logits = widened(model(hidden))
        probability = class_scores(logits.softmax(dim=1), chosen)
        said.append((class_scores(logits, chosen), probability, logits.argmax(dim=1)))
    scores, probabilities, classes = (torch.stack(each, 1) for each in zip(*said, strict=True))
    return scores, probabilities, classes


def _checked(images: Tensor, size: int | None, stride: int | None) -> tuple[int, int]:
    shorter = min(images.shape[2:])
    size = max(1, shorter // 4) if size is None else size
    stride = max(1, size // 4) if stride is None else stride
    if not 1 <= size <= shorter:
        raise InputError(
            f"a square of {size} pixels does not fit an image of "
            f"{tuple(images.shape[2:])}: from 1 to {shorter}"
        )
    if not 1 <= stride <= size:
        raise InputError(f"a stride of {stride} leaves gaps or stands still: from 1 to {size}")
    return size, stride


def _starts(side: int, size: int, stride: int) -> list[int]:
    starts = list(range(0, side - size + 1, stride))
    return starts if starts[-1] == side - size else [*starts, side - size]
