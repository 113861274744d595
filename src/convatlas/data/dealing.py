"""Splits for images that come without: dealt out by class, from a seed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from convatlas.data.splits import stratified_order
from convatlas.errors import FileError

HELD_OUT = 0.1  # part of a training set that is kept for validation, and of a whole for testing


class Divisible(Protocol):
    """Images of which a part can be taken."""

    @property
    def labels(self) -> list[int]:
        """Every label, in order."""
        ...

    def part(self, indices: np.ndarray) -> Any:
        """Give the split of these images, in this order."""
        ...


Images = TypeVar("Images", bound=Divisible)


def dealt(whole: Images, seed: int, where: str | Path) -> tuple[Images, Images, Images]:
    """Deal each class out 80 : 10 : 10, so that even a small one is tested.

    Args:
        whole: All images.
        seed: Equal seeds give equal splits.
        where: What the error calls them.

    Returns:
        Training, validation and test images.

    Raises:
        FileError: No class has three images.
    """
    order = stratified_order(whole.labels, seed)
    labels = np.asarray(whole.labels)[order]
    hands: list[list[np.ndarray]] = [[], [], []]
    for label in np.unique(labels):
        members = order[labels == label]
        test = max(1, round(HELD_OUT * len(members)))
        val = test if len(members) > 2 else 0
        cuts = [len(members) - val - test, len(members) - test]
        for hand, part in zip(hands, np.split(members, cuts), strict=True):
            hand.append(part)
    train, val, test = (whole.part(np.concatenate(hand)) for hand in hands)
    if not len(val.labels):
        raise FileError(f"no class in {where} has 3 pictures: none are left for validation")
    return train, val, test


def held_out(
    train: Images, seed: int, count: Callable[[int], int] | None = None
) -> tuple[Images, Images]:
    """Keep a tenth of the training images for validation, in the proportions of the classes.

    Args:
        train: The training images.
        seed: Equal seeds give equal splits.
        count: How many to keep of so many; None: a tenth.

    Returns:
        What is left to train with, and the validation images.
    """
    order = stratified_order(train.labels, seed)
    kept = max(1, round(HELD_OUT * len(order))) if count is None else count(len(order))
    cut = len(order) - kept
    return train.part(order[:cut]), train.part(order[cut:])


def divided(
    train: Images, val: Images | None, test: Images | None, seed: int, where: str | Path
) -> tuple[Images, Images, Images]:
    """Make three splits of those that there are.

    Args:
        train: The training images, or all of them.
        val: None or empty: there are none.
        test: Likewise. The only one of `val` and `test` is for testing: it is read once, at the
            end, and a tenth of `train` is for validation.
        seed: Of what is drawn.
        where: What errors call the images.

    Raises:
        FileError: No class has three images.
    """
    others = [split for split in (val, test) if split is not None and len(split.labels)]
    if not others:
        return dealt(train, seed, where)
    if len(others) == 2:
        return train, others[0], others[1]
    return *held_out(train, seed), others[0]
