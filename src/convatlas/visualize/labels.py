"""Which class an explanation is of, and its score."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from convatlas.errors import InputError

Labels = int | Sequence[int] | Tensor | None


def chosen_labels(logits: Tensor, labels: Labels = None) -> Tensor:
    """Give the class to explain of each image: (N,), int64, on the device of `logits`.

    Args:
        logits: (N, classes).
        labels: One class for all images, or one for each; None: the top class of each.

    Raises:
        InputError: Logits of another shape or that are not finite, no such class, or not one
            class an image.
    """
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"an explanation needs a classifier's logits (N, classes); got {given}")
    if not torch.isfinite(logits).all():
        raise broken("the class scores")
    if labels is None:
        return logits.detach().argmax(dim=1)
    count, classes = logits.shape
    given = _as_list(labels)
    if given is None:
        given = [labels] * count
    elif len(given) != count:
        raise InputError(f"{len(given)} labels for {count} images: give one, or one for each")
    return torch.tensor([_checked(label, classes) for label in given], device=logits.device)


def class_scores(logits: Tensor, labels: Tensor) -> Tensor:
    """Give the logit of each image's class: (N,).

    Args:
        logits: (N, classes).
        labels: As `chosen_labels` gives them.
    """
    return logits.gather(1, labels[:, None])[:, 0]


def broken(what: str) -> InputError:
    """An error for values that no explanation can be made of."""
    return InputError(f"{what}: values that are not finite; the weights or the image are broken")


def _as_list(labels: Any) -> list[Any] | None:
    """Read several labels, None where it is one."""
    if isinstance(labels, Tensor) or hasattr(labels, "ndim"):
        return labels.tolist() if labels.ndim else None
    return list(labels) if isinstance(labels, Sequence) and not isinstance(labels, str) else None


def _checked(label: Any, classes: int) -> int:
    if isinstance(label, bool) or not hasattr(label, "__index__"):
        raise InputError(f"a class is given by its number, from 0 to {classes - 1}, not {label!r}")
    if not 0 <= label < classes:
        raise InputError(f"no class {label}; there are {classes}, from 0 to {classes - 1}")
    return int(label)
