"""All that a run needs to go on where it was."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from convatlas.recipe import Recipe
from convatlas.train.averaging import Average
from convatlas.train.finetuning import FRESH, Start, freeze
from convatlas.train.groups import parameter_groups
from convatlas.train.optimizers import make_optimizer


@dataclass(slots=True)
class Running:
    """Sums over the epoch that is running.

    Attributes:
        loss: Of every image so far.
        images: Images so far.
        right: Answers that were right.
        counted: Answers in all: one for each image, or for each pixel.
        seconds: Time spent on them.
    """

    loss: float = 0.0
    images: int = 0
    right: int = 0
    counted: int = 0
    seconds: float = 0.0

    def add(self, loss: float, images: int, right: int, counted: int) -> None:
        """Count a step whose mean loss over `images` is `loss`."""
        self.loss += loss * images
        self.images += images
        self.right += right
        self.counted += counted

    @property
    def accuracy(self) -> float:
        """The fraction of right answers."""
        return self.right / self.counted


@dataclass(slots=True)
class State:
    """A run at one moment. No random state: chance comes from the seed and the step.

    Attributes:
        model: The network that learns.
        optimizer: Of its parameters.
        average: Follows `model` where the recipe says so.
        frozen: Layers of `model` that stay as they are.
        step: Steps done since the start.
        records: One for each epoch that is done: the lines of `metrics.jsonl`.
        running: Sums over the epoch that is not done.
        micro_batch: Images that are computed at once; None: whole batches.
        finished: Everything is done and written.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: Average | None = None
    frozen: tuple[nn.Module, ...] = ()
    step: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    running: Running = field(default_factory=Running)
    micro_batch: int | None = None
    finished: bool = False

    @classmethod
    def fresh(cls, model: nn.Module, recipe: Recipe, start: Start = FRESH) -> "State":
        """Give the state before the first step of a recipe.

        The weights are laid out channels last, in which convolutions are a third faster; the
        values stay.

        Raises:
            UnknownNameError: A layer to freeze that is not there.
            InputError: Values that the optimizer can't take, or nothing is left to train.
        """
        # torch's own overloads leave this form of `to` out
        model = model.to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]
        average = None if recipe.ema is None else Average(model, recipe.ema)
        frozen = freeze(model, start.freeze)
        groups = parameter_groups(model, recipe, start.layer_decay)
        return cls(model, make_optimizer(recipe.optimizer, groups), average, frozen)

    @property
    def result(self) -> nn.Module:
        """The network that is validated and kept: the average where there is one."""
        return self.model if self.average is None else self.average.model

    @property
    def epoch_begun(self) -> int:
        """Steps done when the epoch that is running began."""
        return self.records[-1]["step"] if self.records else 0

    def to_dict(self) -> dict[str, Any]:
        """Give tensors and plain values, which a checkpoint can hold."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.model.state_dict(),
            "step": self.step,
            "records": self.records,
            "running": dataclasses.asdict(self.running),
            "micro_batch": self.micro_batch,
            "finished": self.finished,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Go back to what `to_dict` gave."""
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        if self.average is not None:
            self.average.model.load_state_dict(content["average"])
        self.step = content["step"]
        self.records = content["records"]
        self.running = Running(**content["running"])
        self.micro_batch = content["micro_batch"]
        self.finished = content["finished"]
