"""The training loop, to be read from top to bottom."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from convatlas.data.loader import Batch, num_batches
from convatlas.errors import InputError
from convatlas.recipe import DiagonalLM, Recipe
from convatlas.train.curvature import curvature
from convatlas.train.diagonal_lm import DiagonalLevenbergMarquardt
from convatlas.train.distributed import ALONE, Ranks
from convatlas.train.events import EpochDone, Progress, StepDone, ignore
from convatlas.train.finetuning import learning_mode
from convatlas.train.learner import Learner
from convatlas.train.mixing import mixed
from convatlas.train.options import DEFAULTS, RunOptions
from convatlas.train.placement import device_of, placed
from convatlas.train.rates import rate_at
from convatlas.train.signals import StoppedError
from convatlas.train.state import Running, State
from convatlas.train.step import DivergedError, Lesson, step_seed, take_step_or_skip
from convatlas.train.tasks import Images, Task
from convatlas.train.validation import checked, validate

_MIX = 2  # first word of the seeds of mixing; `convatlas.data.loader` has 0 and 1


@dataclass(frozen=True, slots=True)
class Data:
    """What to learn from and what to watch; the test images are not here.

    Attributes:
        train: Images to learn from.
        val: Images to watch.
        task: What is to be learnt from them.
    """

    train: Images
    val: Images
    task: Task


def fit(
    state: State,
    recipe: Recipe,
    data: Data,
    *,
    seed: int,
    options: RunOptions = DEFAULTS,
    keep: Callable[[State], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = ignore,
) -> None:
    """Train from where `state` stands to the end of the recipe.

    Order, augmentation, mixing and dropout depend on `seed` and on the step alone: a run that
    goes on from a kept state ends, on the same machine and with as many threads, in the same bits.
    Where several processes train together, `options.ranks`, all of them call this: each learns
    from its part of every batch, and their states stay alike.

    Args:
        state: Changed in place; afterwards `state.result` is the trained network.
        recipe: How to train.
        data: What to learn from and what to watch.
        seed: Equal seeds give equal runs.
        options: How to compute.
        keep: Called with the state after every epoch, every `options.checkpoint_every` seconds
            and before a stop, never with weights that are not finite.
        stop: Asked after every step and every batch of the validation.
        progress: Told of every step and every epoch.

    Raises:
        DivergedError: The loss, a gradient or the weights are not finite.
        StoppedError: `stop` said so.
        MemoryShortError: Memory is too small for one image at a time.
    """
    task, ranks = data.task, options.ranks
    learner = make_learner(state.model, recipe, data, options)
    sizes = [size for size in (state.micro_batch, options.micro_batch) if size is not None]
    state.micro_batch = min(sizes, default=None)  # memory may have taught less than was asked for
    steps = num_batches(data.train, recipe.batch_size)
    kept = time.perf_counter()

    def stop_if_asked(*_: int) -> None:
        if ranks.any(stop())[0]:
            keep(checked(state, ranks))
            raise StoppedError

    # processes can't ask each other while each validates as many batches as it has
    ask_between = stop_if_asked if ranks.size == 1 else _go_on

    for epoch in range(len(state.records), recipe.epochs):
        learning_mode(state.model, state.frozen)
        begun = time.perf_counter() - state.running.seconds
        start = state.step - state.epoch_begun
        if start == 0:
            follow_curvature(state, recipe, data, seed=seed, epoch=epoch)
        stream = task.batches(
            data.train,
            recipe,
            seed=seed,
            epoch=epoch,
            start=start,
            workers=options.workers,
            part=ranks.part,
        )
        for number, batch in enumerate(stream, start=start):
            rate = rate_at(recipe, (epoch * steps + number) / steps, state.records)
            lesson = make_lesson(
                batch, recipe, data, rate=rate, seed=seed, step=state.step, ranks=ranks
            )
            most = options.skip_bad_steps
            take_step_or_skip(state, learner, lesson, task.correct, progress, most)
            state.running.seconds = time.perf_counter() - begun
            if state.running.images:
                progress(_step_done(state, recipe.epochs, steps))
            stop_if_asked()
            if ranks.any(time.perf_counter() - kept >= options.checkpoint_every)[0]:
                keep(checked(state, ranks))
                kept = time.perf_counter()
        if not state.running.images:
            raise DivergedError(f"every step of epoch {epoch + 1} was left out")
        rate = rate_at(recipe, ((epoch + 1) * steps - 1) / steps, state.records)
        metrics = validate(
            checked(state, ranks), data.task, data.val, options, rate=rate, progress=ask_between
        )
        seconds = time.perf_counter() - begun
        state.records.append(_record(state, metrics, rate, seconds))
        state.running = Running()
        keep(state)
        kept = time.perf_counter()
        progress(EpochDone(recipe.epochs, state.records[-1]))


def make_learner(model: nn.Module, recipe: Recipe, data: Data, options: RunOptions) -> nn.Module:
    """Put the network and the recipe's loss together, compiled if the options say so.

    Of several processes, each has such a learner, whose gradients are the mean of all.
    """
    learner = Learner(
        model,
        data.task.make_loss(recipe, data.train),
        sides=recipe.sides,
        precision=options.precision,
        fused=options.fused and not options.compile and device_of(model).type == "cpu",
    )
    if options.compile:
        learner.compile()
    if options.ranks.size == 1 or options.shard:
        return learner
    return DistributedDataParallel(learner, gradient_as_bucket_view=True)


def follow_curvature(state: State, recipe: Recipe, data: Data, *, seed: int, epoch: int) -> None:
    """Measure the curvature for an optimizer that follows it, on images of the epoch to come.

    Of several processes, each measures the same ones.
    """
    optimizer = state.optimizer
    if not isinstance(optimizer, DiagonalLevenbergMarquardt):
        return
    if not isinstance(recipe.optimizer, DiagonalLM):
        raise InputError("the optimizer of the state is not that of the recipe")
    some = replace(recipe, batch_size=recipe.optimizer.samples)
    stream = data.task.batches(data.train, some, seed=seed, epoch=epoch, start=0, workers=0)
    batch = next(iter(stream))
    loss = data.task.make_loss(recipe, data.train)
    device = device_of(state.model)
    images, labels = placed(batch.images, device), placed(batch.labels, device)
    optimizer.follow(curvature(state.model, loss, images, labels))


def make_lesson(
    batch: Batch,
    recipe: Recipe,
    data: Data,
    *,
    rate: float,
    seed: int,
    step: int,
    ranks: Ranks = ALONE,
) -> Lesson:
    """Say what a step learns from a batch, whose images are mixed if the recipe says so.

    Of several processes, each mixes and drops by its own chance; the first as one alone would.
    """
    targets = batch.labels
    if recipe.mix:
        rng = np.random.default_rng([_MIX, seed, step, *([] if ranks.first else [ranks.rank])])
        classes = len(data.task.classes)
        images, targets = mixed(batch.images, batch.labels, classes, recipe.mix, rng)
        batch = batch._replace(images=images)
    chance = step_seed(seed, step, ranks.rank)
    return Lesson(
        batch,
        targets,
        chance,
        rate,
        recipe.clip_norm,
        data.train.name,
        ranks,
        filter_limit=recipe.filter_limit,
    )


def _go_on(*_: int) -> None:
    """Don't stop."""


def _step_done(state: State, epochs: int, steps: int) -> StepDone:
    running, done = state.running, len(state.records)
    return StepDone(
        epoch=done + 1,
        epochs=epochs,
        step=state.step - state.epoch_begun,
        steps=steps,
        loss=running.loss / running.images,
        accuracy=running.accuracy,
        images_per_second=running.images / running.seconds,
    )


def _record(state: State, metrics: dict[str, float], rate: float, seconds: float) -> dict[str, Any]:
    running = state.running
    return {
        "epoch": len(state.records) + 1,
        "step": state.step,
        "train_loss": running.loss / running.images,
        "train_accuracy": running.accuracy,
        **metrics,
        **({"skipped_steps": running.skipped} if running.skipped else {}),
        "lr": rate,
        "seconds": round(seconds, 3),
        "images_per_second": round(running.images / running.seconds, 1),
    }
