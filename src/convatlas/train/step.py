"""One step of the optimizer: all of a batch is learnt from, or the network stays as it was."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.data.loader import Batch
from convatlas.errors import UserError
from convatlas.train.events import Notice, Progress, ignore
from convatlas.train.memory import MemoryShortError, is_out_of_memory, within_memory
from convatlas.train.optimizers import set_rate
from convatlas.train.state import State


class DivergedError(UserError, ArithmeticError):
    """The loss, a gradient or the weights are no longer finite: there is nothing left to train.

    Attributes:
        images: Names of the images it could not learn from; empty: it was seen after a step.
    """

    def __init__(self, message: str, images: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.images = tuple(images)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one step learns from.

    Attributes:
        batch: Images, the labels that accuracy is counted against, which images they are.
        targets: What the loss compares with: the labels, or mixed ones.
        seed: Of dropout.
        rate: The learning rate.
        clip_norm: Greatest norm of all gradients together; None: any.
        name: Gives the name of an image by its index.
    """

    batch: Batch
    targets: Tensor
    seed: int
    rate: float
    clip_norm: float | None = None
    name: Callable[[int], str] = str


Correct = Callable[[Tensor, Tensor], tuple[int, int]]


def take_step(
    state: State, learner: nn.Module, lesson: Lesson, correct: Correct, progress: Progress = ignore
) -> None:
    """Let the network learn from one batch, in as many passes as memory needs.

    Args:
        state: Its network, optimizer, average and sums move on by one step.
        learner: (images, targets, weights) -> (loss, logits); see `convatlas.train.learner`.
        lesson: What to learn from.
        correct: (logits, labels) -> right answers, and all of them.
        progress: Told when memory ran out and the passes become smaller.

    Raises:
        DivergedError: The loss or a gradient is not finite; network and step are as they were.
        MemoryShortError: One image at a time is too much for the memory.
    """
    images = len(lesson.batch.labels)
    buffers = [(buffer, buffer.clone()) for buffer in state.model.buffers()]

    def attempt(size: int) -> tuple[float, int, int]:
        torch.manual_seed(lesson.seed)
        state.optimizer.zero_grad()
        return _accumulate(learner, lesson, correct, size)

    def smaller(size: int) -> None:
        _restore(buffers)  # batch norm has seen what the failed attempt has computed
        state.micro_batch = size
        progress(
            Notice(
                f"memory ran out in step {state.step + 1}: batches of {images} images are now "
                f"gathered from passes of {size}"
            )
        )

    size = images if state.micro_batch is None else min(images, state.micro_batch)
    loss, right, counted = within_memory(attempt, size, smaller, f"step {state.step + 1}")
    norm = gradient_norm(state.optimizer)
    if not math.isfinite(loss) or not math.isfinite(norm):
        _restore(buffers)
        raise _diverged(state, lesson, loss, norm)
    clip(state.optimizer, norm, lesson.clip_norm)
    _move(state, lesson.rate)
    state.running.add(loss, images, right, counted)


def step_seed(seed: int, step: int) -> int:
    """Give the seed of one step's dropout: far from those of its neighbours and of other runs."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=8).digest())


def gradient_norm(optimizer: torch.optim.Optimizer) -> float:
    """Give the norm of all gradients together, as one vector."""
    return float(nn.utils.get_total_norm(list(_gradients(optimizer))))


def clip(optimizer: torch.optim.Optimizer, norm: float, most: float | None) -> None:
    """Scale all gradients alike, so that their norm is not above `most` (Pascanu et al. 2013)."""
    if most is not None and norm > most:
        torch._foreach_mul_(list(_gradients(optimizer)), most / norm)


def _diverged(state: State, lesson: Lesson, loss: float, norm: float) -> DivergedError:
    found = "the norm of the gradient" if math.isfinite(loss) else "the loss"
    value = norm if math.isfinite(loss) else loss
    names = [lesson.name(index) for index in lesson.batch.indices.tolist()]
    return DivergedError(
        f"{found} became {value} in step {state.step + 1} (epoch {len(state.records) + 1}) at a "
        f"learning rate of {lesson.rate:g}, with the images {_first(names)}; "
        "try a lower optimizer.lr",
        names,
    )


def _first(names: Sequence[str], count: int = 5) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def _accumulate(
    learner: nn.Module, lesson: Lesson, correct: Correct, size: int
) -> tuple[float, int, int]:
    """Gather the gradient of the mean loss from passes over up to `size` images."""
    batch, images = lesson.batch, len(lesson.batch.labels)
    total, right, counted = 0.0, 0, 0
    for start in range(0, images, size):
        part = slice(start, start + size)
        weights = None if batch.weights is None else batch.weights[part]
        pixels = batch.images[part].contiguous(memory_format=torch.channels_last)
        loss, logits = learner(pixels, lesson.targets[part], weights)
        share = len(pixels) / images
        value = loss.item()
        total += value * share
        if not math.isfinite(value):
            break
        (loss * share).backward()
        some = correct(logits.detach(), batch.labels[part])
        right, counted = right + some[0], counted + some[1]
    return total, right, counted


def _move(state: State, rate: float) -> None:
    set_rate(state.optimizer, rate)
    try:
        state.optimizer.step()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryShortError(
            f"memory ran out while the optimizer changed the weights in step {state.step + 1}: it "
            "needs as much as the network again; free some, or take SGD without momentum"
        ) from error
    state.step += 1
    if state.average is not None:
        state.average.follow(state.step)


def _gradients(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                yield parameter.grad


def _restore(buffers: Sequence[tuple[Tensor, Tensor]]) -> None:
    for buffer, kept in buffers:
        buffer.copy_(kept)
