"""The training loop, to be read from top to bottom."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from convatlas.data.loader import Batch, batches, num_batches
from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import Split
from convatlas.errors import InputError, UserError
from convatlas.evaluate.evaluation import Evaluation, evaluate
from convatlas.recipe import Recipe
from convatlas.schedules import OnPlateau, Schedule, Warmup
from convatlas.train.events import EpochDone, Progress, StepDone, ignore
from convatlas.train.losses import Loss, make_loss
from convatlas.train.optimizers import set_rate
from convatlas.train.signals import StoppedError
from convatlas.train.state import Running, State


class DivergedError(UserError, ArithmeticError):
    """The loss or the weights are no longer finite: there is nothing left to train."""


@dataclass(frozen=True, slots=True)
class Data:
    """What to learn from and what to watch; the test images are not here.

    Attributes:
        train: Images to learn from.
        val: Images to watch.
        preprocessing: Makes the network's input of an image.
        classes: Names, in the order of the logits.
        workers: Processes that read images; the result does not depend on it.
    """

    train: Split
    val: Split
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    workers: int = 0


def fit(
    state: State,
    recipe: Recipe,
    data: Data,
    *,
    seed: int,
    keep: Callable[[State], None] = lambda _: None,
    keep_every: float = math.inf,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = ignore,
) -> None:
    """Train from where `state` stands to the end of the recipe.

    Order, augmentation and dropout depend on `seed` and on the step alone: a run that goes on
    from a kept state ends, on the same machine and with as many threads, in the same bits.

    Args:
        state: Changed in place; afterwards `state.result` is the trained network.
        recipe: How to train.
        data: What to learn from and what to watch.
        seed: Equal seeds give equal runs.
        keep: Called with the state after every epoch, every `keep_every` seconds and before a
            stop, never with weights that are not finite.
        keep_every: Seconds.
        stop: Asked after every step and every batch of the validation.
        progress: Told of every step and every epoch.

    Raises:
        DivergedError: The loss or the weights are not finite.
        StoppedError: `stop` said so.
    """
    loss_of = make_loss(recipe.loss, recipe.label_smoothing)
    steps = num_batches(data.train, recipe.batch_size)
    kept = time.perf_counter()

    def stop_if_asked(*_: int) -> None:
        if stop():
            keep(checked(state))
            raise StoppedError

    for epoch in range(len(state.records), recipe.epochs):
        state.model.train()
        begun = time.perf_counter() - state.running.seconds
        for batch in batches(
            data.train,
            data.preprocessing,
            recipe.batch_size,
            augment=recipe.augment,
            seed=seed,
            epoch=epoch,
            start=state.step - epoch * steps,
            shuffle=True,
            workers=data.workers,
        ):
            torch.manual_seed(step_seed(seed, state.step))
            rate = rate_at(recipe, state.step / steps, state.records)
            take_step(state, batch, loss_of, rate)
            state.running.seconds = time.perf_counter() - begun
            progress(_step_done(state, recipe.epochs, steps))
            stop_if_asked()
            if time.perf_counter() - kept >= keep_every:
                keep(checked(state))
                kept = time.perf_counter()
        rate = rate_at(recipe, (state.step - 1) / steps, state.records)
        evaluation = _validate(checked(state), data, rate, stop_if_asked)
        seconds = time.perf_counter() - begun
        state.records.append(_record(state, evaluation, rate, seconds))
        state.running = Running()
        keep(state)
        kept = time.perf_counter()
        progress(EpochDone(recipe.epochs, state.records[-1]))


def take_step(state: State, batch: Batch, loss_of: Loss, rate: float) -> None:
    """Let the network learn from one batch.

    Raises:
        DivergedError: The loss is not finite; weights and step are as they were.
    """
    logits = state.model(batch.images.contiguous(memory_format=torch.channels_last))
    loss = loss_of(logits, batch.labels)
    value = loss.item()
    if not math.isfinite(value):
        raise DivergedError(
            f"the loss became {value} in step {state.step + 1} (epoch {len(state.records) + 1}) "
            f"at a learning rate of {rate:g}; try a lower optimizer.lr"
        )
    state.optimizer.zero_grad()
    loss.backward()
    set_rate(state.optimizer, rate)
    state.optimizer.step()
    state.step += 1
    if state.average is not None:
        state.average.follow(state.step)
    state.running.loss += value * len(batch.labels)
    state.running.right += int((logits.argmax(dim=1) == batch.labels).sum())
    state.running.images += len(batch.labels)


def rate_at(recipe: Recipe, epoch: float, records: list[dict[str, Any]]) -> float:
    """Give the learning rate at a moment of a run.

    Args:
        recipe: Its optimizer's rate is multiplied by its schedule.
        epoch: 2.5 is the middle of the third epoch.
        records: Of the epochs that are done; a plateau schedule looks at them.
    """
    rate = recipe.optimizer.lr * recipe.schedule(epoch)
    plateau = _plateau(recipe.schedule)
    if plateau is None:
        return rate
    errors = [1 - record["val_accuracy"] for record in records]
    return rate * plateau.factor ** plateau.drops(errors)


def step_seed(seed: int, step: int) -> int:
    """Give the seed of one step's dropout: far from those of its neighbours and of other runs."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=8).digest())


def checked(state: State) -> State:
    """Give the state back if its weights are finite.

    Raises:
        DivergedError: They are not.
    """
    broken = [
        name
        for name, tensor in state.model.state_dict().items()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
    if broken:
        raise DivergedError(
            f"{broken[0]} is no longer finite after step {state.step} (epoch "
            f"{len(state.records) + 1}); try a lower optimizer.lr"
        )
    return state


def _validate(
    state: State, data: Data, rate: float, progress: Callable[[int, int], None]
) -> Evaluation:
    try:
        return evaluate(
            state.result,
            data.val,
            data.preprocessing,
            data.classes,
            workers=data.workers,
            progress=progress,
        )
    except InputError as error:  # finite weights may be too large for finite logits
        raise DivergedError(
            f"validation after step {state.step} (epoch {len(state.records) + 1}) at a learning "
            f"rate of {rate:g}: {error}; try a lower optimizer.lr"
        ) from error


def _plateau(schedule: Schedule) -> OnPlateau | None:
    while isinstance(schedule, Warmup):
        schedule = schedule.then
    return schedule if isinstance(schedule, OnPlateau) else None


def _step_done(state: State, epochs: int, steps: int) -> StepDone:
    running, done = state.running, len(state.records)
    return StepDone(
        epoch=done + 1,
        epochs=epochs,
        step=state.step - done * steps,
        steps=steps,
        loss=running.loss / running.images,
        accuracy=running.right / running.images,
        images_per_second=running.images / running.seconds,
    )


def _record(state: State, evaluation: Evaluation, rate: float, seconds: float) -> dict[str, Any]:
    running = state.running
    return {
        "epoch": len(state.records) + 1,
        "step": state.step,
        "train_loss": running.loss / running.images,
        "train_accuracy": running.right / running.images,
        "val_loss": evaluation.loss,
        "val_accuracy": evaluation.top1_accuracy,
        "lr": rate,
        "seconds": round(seconds, 3),
        "images_per_second": round(running.images / running.seconds, 1),
    }
