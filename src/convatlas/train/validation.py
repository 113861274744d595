"""Look at the network that a run has so far: whether it is finite, and how good it is."""

from collections.abc import Callable
from typing import Any

import torch

from convatlas.errors import InputError
from convatlas.train.distributed import ALONE, Ranks
from convatlas.train.memory import within_memory
from convatlas.train.options import RunOptions
from convatlas.train.state import State
from convatlas.train.step import DivergedError
from convatlas.train.tasks import VALIDATION_BATCH, Task


def checked(state: State, ranks: Ranks = ALONE) -> State:
    """Give the state back, alike in all processes, if its weights are finite.

    Raises:
        DivergedError: They are not.
    """
    ranks.share_buffers(*state.networks)
    broken = [
        name
        for name, tensor in state.model.state_dict().items()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
    if broken:
        raise DivergedError(
            f"{broken[0]} is no longer finite after step {state.step} (epoch "
            f"{len(state.records) + 1})"
        )
    return state


def test_network(
    state: State, task: Task, split: Any, options: RunOptions, progress: Callable[[int, int], None]
) -> Any:
    """Test the network that is kept, in parts as small as those that it learns in."""
    network = state.result
    size = VALIDATION_BATCH
    if state.micro_batch is not None:
        size = min(size, state.micro_batch)

    def attempt(size: int) -> Any:
        return task.evaluate(
            network,
            split,
            batch_size=size,
            workers=options.workers,
            progress=progress,
            sharing=options.ranks,
        )

    return within_memory(attempt, size, lambda _: None, "an evaluation")


def validate(
    state: State,
    task: Task,
    split: Any,
    options: RunOptions,
    *,
    rate: float,
    progress: Callable[[int, int], None],
) -> dict[str, float]:
    """Test the network that is kept on the images to watch; give what `metrics.jsonl` says.

    Args:
        state: Its network is finite.
        task: What is learnt.
        split: The images.
        options: How to compute.
        rate: The learning rate, for the message.
        progress: Called with batches done and batches in all.

    Raises:
        DivergedError: The logits are not finite.
    """
    try:
        return task.metrics(test_network(state, task, split, options, progress))
    except InputError as error:  # finite weights may be too large for finite logits
        raise DivergedError(
            f"validation after step {state.step} (epoch {len(state.records) + 1}) at a learning "
            f"rate of {rate:g}: {error}"
        ) from error
