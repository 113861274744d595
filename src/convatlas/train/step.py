"""One step of the optimizer: all of a batch is learnt from, or the network stays as it was."""

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from convatlas.data.loader import Batch
from convatlas.errors import UserError, first_few
from convatlas.train.distributed import ALONE, Ranks
from convatlas.train.events import Notice, Progress, ignore
from convatlas.train.fused import Computed, computed
from convatlas.train.memory import MemoryShortError, is_out_of_memory, within_memory
from convatlas.train.optimizers import set_rate
from convatlas.train.placement import device_of, placed
from convatlas.train.sharding import gathered_tensor
from convatlas.train.state import State


class DivergedError(UserError, ArithmeticError):
    """The loss, a gradient or the weights are no longer finite: there is nothing left to train.

    Attributes:
        images: Names of the images it could not learn from; empty: it was seen after a step.
        what: What was not finite, where and with which images.
    """

    def __init__(self, what: str, images: Sequence[str] = (), after: str = "") -> None:
        super().__init__(f"{what}{after}; try a lower optimizer.lr")
        self.what, self.images = what, tuple(images)


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
        ranks: The processes that learn from one batch; this one from the images given here.
        filter_limit: Greatest root mean square of a filter after the step; None: any.
    """

    batch: Batch
    targets: Tensor
    seed: int
    rate: float
    clip_norm: float | None = None
    name: Callable[[int], str] = str
    ranks: Ranks = ALONE
    filter_limit: float | None = None


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
        MemoryShortError: One image at a time is too much for the memory, or two where batch norms
            learn; with several processes, the first time that it runs out, for the others can't
            know.
    """
    ranks, counts = lesson.ranks, lesson.ranks.counts(len(lesson.batch.labels))
    images, most = sum(counts), max(counts)
    buffers = [(buffer, buffer.clone()) for buffer in state.model.buffers()]

    def attempt(size: int) -> list[float]:
        torch.manual_seed(lesson.seed)
        state.optimizer.zero_grad()
        return _accumulate(learner, lesson, correct, counts, size)

    def smaller(size: int) -> None:
        if ranks.size > 1:
            raise MemoryShortError(
                f"memory ran out in step {state.step + 1} in process {ranks.rank} of {ranks.size}:"
                f" go on with --resume --micro-batch {size}"
            )
        _restore(buffers)  # batch norm has seen what the failed attempt has computed
        state.micro_batch = size
        progress(
            Notice(
                f"memory ran out in step {state.step + 1}: batches of {images} images are now "
                f"gathered from passes of {size}"
            )
        )

    size = most if state.micro_batch is None else min(most, state.micro_batch)
    least = min(size, 2) if _normalises(state.model) else 1
    own = within_memory(attempt, size, smaller, f"step {state.step + 1}", least)
    loss, right, counted = ranks.sums(*own)
    norm = gradient_norm(state.optimizer)
    if not math.isfinite(loss) or not math.isfinite(norm):
        _restore(buffers)
        raise _diverged(state, lesson, loss, norm, blamed=not math.isfinite(own[0]))
    clip(state.optimizer, norm, lesson.clip_norm)
    _move(state, lesson.rate, lesson.filter_limit)
    state.running.add(loss, images, int(right), int(counted))


def take_step_or_skip(
    state: State,
    learner: nn.Module,
    lesson: Lesson,
    correct: Correct,
    progress: Progress = ignore,
    most: int = 0,
) -> None:
    """Do as `take_step`, but leave out up to `most` steps of a run whose loss is not finite.

    All processes leave out the same ones.

    Raises:
        DivergedError: More of them are not finite.
        MemoryShortError: As `take_step` does.
    """
    try:
        take_step(state, learner, lesson, correct, progress)
    except DivergedError as error:
        if not most:
            raise
        done = state.skipped
        if done == most:
            after = f", after {most} {'steps' if most > 1 else 'step'} left out"
            raise DivergedError(error.what, error.images, after) from error
        state.step += 1
        state.running.skipped += 1
        progress(Notice(f"left out, {done + 1} of at most {most}: {error.what}"))


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Give the seed of one step's dropout: far from those of its neighbours and of other runs.

    Each process that learns from a part of the batch draws its own.
    """
    words = f"{seed}/{step}" if rank == 0 else f"{seed}/{step}/{rank}"
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest())


def gradient_norm(optimizer: torch.optim.Optimizer) -> float:
    """Give the norm of all gradients together, as one vector."""
    return float(gathered_tensor(nn.utils.get_total_norm(list(_gradients(optimizer)))))


def clip(optimizer: torch.optim.Optimizer, norm: float, most: float | None) -> None:
    """Scale all gradients alike, so that their norm is not above `most` (Pascanu et al. 2013)."""
    if most is not None and norm > most:
        torch._foreach_mul_(list(_gradients(optimizer)), most / norm)


@torch.no_grad()
def limit_filters(model: nn.Module, most: float) -> None:
    """Shrink each filter whose root mean square exceeds `most` to it (Zeiler & Fergus 2013, 3.1).

    A filter is what one map of a convolution is made with.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            size = layer.weight.square().mean((1, 2, 3), keepdim=True).sqrt()
            layer.weight.mul_(torch.where(size > most, most / size, 1.0))


def _diverged(
    state: State, lesson: Lesson, loss: float, norm: float, *, blamed: bool
) -> DivergedError:
    found = "the norm of the gradient" if math.isfinite(loss) else "the loss"
    value = norm if math.isfinite(loss) else loss
    names = _names(lesson, blamed)
    return DivergedError(
        f"{found} became {value} in step {state.step + 1} (epoch {len(state.records) + 1}) at a "
        f"learning rate of {lesson.rate:g}, with the images {first_few(names, 5)}",
        names,
    )


def _names(lesson: Lesson, blamed: bool) -> list[str]:
    """Name the images of the processes that are to blame, or of all where none is."""
    own = [lesson.name(index) for index in lesson.batch.indices.tolist()]
    found = lesson.ranks.gathered((blamed, own))
    nobody = not any(guilty for guilty, _ in found)
    return [name for guilty, names in found if guilty or nobody for name in names]


def _accumulate(
    learner: nn.Module, lesson: Lesson, correct: Correct, counts: Sequence[int], size: int
) -> list[float]:
    """Gather the gradient of the mean loss from passes over up to `size` images.

    Every process makes as many passes as the one with the most images, for they meet in each.

    Returns:
        This process's share of the mean loss over the images of all; its right answers, and all.
    """
    batch, processes, device = lesson.batch, len(counts), device_of(learner)
    total, right, counted = 0.0, 0, 0
    for start in range(0, max(counts), size):
        part = slice(start, start + size)
        weights = None if batch.weights is None else placed(batch.weights[part], device)
        targets, labels = (placed(t[part], device) for t in (lesson.targets, batch.labels))
        pixels = placed(batch.images[part].contiguous(memory_format=torch.channels_last), device)
        share = len(pixels) / sum(counts)
        # a layer that is computed again on the way back is computed as the first time
        with _gathering(learner, last=start + size >= max(counts)), computed(_fused(learner)):
            loss, logits = learner(pixels, targets, weights)
            # torch gives each process the mean of the gradients of all
            (loss * share * processes).backward()
        if len(pixels):  # the mean over no images is not a number
            total += loss.item() * share
        some = correct(logits.detach(), labels)
        right, counted = right + some[0], counted + some[1]
    return [total, right, counted]


def _normalises(model: nn.Module) -> bool:
    """Say whether batch norms learn, which have no variance where they see one value."""
    return any(isinstance(m, _BatchNorm) and m.training for m in model.modules())


def _fused(learner: nn.Module) -> list[Computed]:
    """Give the layers that are computed by operations of our own."""
    return getattr(getattr(learner, "module", learner), "fused", [])


def _gathering(learner: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[None]:
    """Let processes exchange their gradients in the last pass only."""
    if last or not isinstance(learner, DistributedDataParallel):
        return contextlib.nullcontext()
    return learner.no_sync()


def _move(state: State, rate: float, filter_limit: float | None) -> None:
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
    if filter_limit is not None:
        limit_filters(state.model, filter_limit)
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
