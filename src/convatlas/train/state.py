"""All that a run needs to go on where it was."""

import dataclasses
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.recipe import DiagonalLM, Recipe
from convatlas.train.averaging import Average
from convatlas.train.distributed import Ranks
from convatlas.train.finetuning import FRESH, Start, freeze
from convatlas.train.groups import parameter_groups
from convatlas.train.optimizers import make_optimizer
from convatlas.train.options import DEFAULTS, RunOptions
from convatlas.train.sharding import shard, skeleton, whole
from convatlas.train.shards import ShardedCheckpoint
from convatlas.train.sync_norm import sync_norms

_OPTIMIZER = "optimizer."  # how names of its tensors begin in sharded checkpoints


@dataclass(slots=True)
class Running:
    """Sums over the epoch that is running.

    Attributes:
        loss: Of every image so far.
        images: Images so far.
        right: Answers that were right.
        counted: Answers in all: one for each image, or for each pixel.
        seconds: Time spent on them.
        skipped: Steps left out because something was not finite.
    """

    loss: float = 0.0
    images: int = 0
    right: int = 0
    counted: int = 0
    seconds: float = 0.0
    skipped: int = 0

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
        skeleton: Of the network, where its weights are spread over processes.
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
    skeleton: nn.Module | None = None
    finished: bool = False

    @classmethod
    def fresh(
        cls,
        model: nn.Module,
        recipe: Recipe,
        start: Start = FRESH,
        options: RunOptions = DEFAULTS,
    ) -> "State":
        """Give the state before the first step of a recipe.

        The network is brought to the device of the options, if they name one. The weights are laid
        out channels last, in which convolutions are a third faster, unless they are spread over
        processes; the values stay.

        Raises:
            UnknownNameError: A layer to freeze that is not there.
            InputError: Values that the optimizer can't take, or nothing is left to train.
        """
        several = options.ranks.size > 1
        if options.shard and several and isinstance(recipe.optimizer, DiagonalLM):
            raise InputError("DiagonalLM needs whole weights: leave out --shard")
        if options.sync_norm and several:
            model = sync_norms(model)
        frozen = freeze(model, start.freeze)
        if options.place is not None:
            model = model.to(options.place)
        bones = None
        if not (options.shard and several):
            # torch's own overloads leave this form of `to` out
            model = model.to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]
            average = None if recipe.ema is None else Average(model, recipe.ema)
        else:
            bones, copy = skeleton(model), deepcopy(model)
            shard(model)
            shard(copy)
            average = None if recipe.ema is None else Average(model, recipe.ema, copy)
        groups = parameter_groups(model, recipe, start.layer_decay)
        optimizer = make_optimizer(recipe.optimizer, groups, fused=options.fused)
        return cls(model, optimizer, average, frozen, skeleton=bones)

    @property
    def result(self) -> nn.Module:
        """The network that is validated and kept: the average where there is one.

        Where weights are spread over processes they are gathered, and all must ask.
        """
        kept = self.networks[-1]
        return kept if self.skeleton is None else whole(kept, self.skeleton)

    @property
    def networks(self) -> list[nn.Module]:
        """The network that learns, and its average where there is one."""
        return [self.model] if self.average is None else [self.model, self.average.model]

    @property
    def skipped(self) -> int:
        """Steps left out since the start."""
        return self.running.skipped + sum(r.get("skipped_steps", 0) for r in self.records)

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
            **self.values(),
        }

    def values(self) -> dict[str, Any]:
        """Give all that is no tensor, as JSON can hold it."""
        return {
            "step": self.step,
            "records": self.records,
            "running": dataclasses.asdict(self.running),
            "micro_batch": self.micro_batch,
            "finished": self.finished,
        }

    def tensors(self) -> dict[str, Tensor]:
        """Give all tensors by name, each process its part, as sharded checkpoints hold them."""
        found: dict[str, Tensor] = {}
        for part, network in zip(("model", "average"), self.networks, strict=False):
            found |= {f"{part}.{name}": value for name, value in network.state_dict().items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            found |= {f"{_OPTIMIZER}{number}.{name}": value for name, value in values.items()}
        return found

    def restore(self, content: dict[str, Any]) -> None:
        """Go back to what `to_dict` gave."""
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        if self.average is not None:
            self.average.model.load_state_dict(content["average"])
        self._restore_values(content)

    def restore_shards(self, checkpoint: ShardedCheckpoint, ranks: Ranks) -> None:
        """Go back to a sharded checkpoint, written by any number of processes.

        Raises:
            FileError: It can't be read, or lacks a tensor.
        """
        into = {k: v for k, v in self.tensors().items() if not k.startswith(_OPTIMIZER)}
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        moments: dict[int, dict[str, Tensor]] = {}
        for key, shape in checkpoint.tensors.items():
            if key.startswith(_OPTIMIZER):
                number, _, name = key.removeprefix(_OPTIMIZER).partition(".")
                parameter = parameters[int(number)]
                like = list(parameter.shape) == shape
                into[key] = torch.zeros_like(parameter) if like else torch.zeros(shape)
                moments.setdefault(int(number), {})[name] = into[key]
        checkpoint.load(into, ranks)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._restore_values(checkpoint.values)

    def _restore_values(self, content: dict[str, Any]) -> None:
        self.step = content["step"]
        self.records = content["records"]
        self.running = Running(**content["running"])
        self.micro_batch = content["micro_batch"]
        self.finished = content["finished"]
