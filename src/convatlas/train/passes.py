"""How many images are computed at once, and whether a network can learn from so few."""

from typing import Any

import numpy as np
import torch

from convatlas.catalog import build
from convatlas.data.loader import part_of
from convatlas.errors import InputError
from convatlas.train.finetuning import freeze, learning_mode
from convatlas.train.options import RunOptions
from convatlas.train.plan import Plan

_ALONE = "Expected more than 1 value per channel"  # how torch's batch norm puts it


def pass_sizes(images: int, batch_size: int, parts: int, micro_batch: int | None) -> set[int]:
    """Give the numbers of images that an epoch computes at once.

    Args:
        images: In an epoch.
        batch_size: Of a step; the last one has what is left over.
        parts: Processes that share a batch.
        micro_batch: Most images at once; None: all of a process's part.
    """
    steps = (min(batch_size, images), images % batch_size)
    shares = {len(part_of(np.arange(n), i, parts)) for n in steps for i in (0, parts - 1)}
    if micro_batch is not None:
        shares = {n for share in shares for n in (min(share, micro_batch), share % micro_batch)}
    return shares - {0}


def check_passes(plan: Plan, options: RunOptions) -> None:
    """Refuse batches of which one image is left over, where batch norm can't learn from one.

    It has no variance where an image has one value a channel, as in the side classifier of
    Inception-v3. Better told now than at the end of the first epoch.

    Raises:
        InputError: A pass has one image, and the network needs two.
    """
    ranks, recipe = options.ranks, plan.recipe
    count = len(plan.source.train)
    sizes = pass_sizes(count, recipe.batch_size, ranks.size, options.micro_batch)
    if 1 not in sizes or (options.sync_norm and ranks.size > 1):
        return
    sides = {"sides": True} if recipe.sides else {}
    with torch.device("meta"):
        model: Any = build(plan.name, plan.num_classes, plan.in_channels, **plan.overrides, **sides)
        image = torch.empty(1, plan.in_channels, *plan.preprocessing.size)
    learning_mode(model, freeze(model, plan.start.freeze))
    try:
        model.forward_with_sides(image) if recipe.sides else model(image)
    except ValueError as error:
        if _ALONE not in str(error):
            raise
        micro = "" if options.micro_batch is None else " or --micro-batch"
        raise InputError(
            f"{plan.name} can't learn from one image at a time, for its batch norm needs two, and "
            f"{count:,} images in batches of {recipe.batch_size} leave one: set another "
            f"batch_size{micro}"
        ) from error
