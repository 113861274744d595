"""Where a case is measured: its seed, its images, and the project's own training loop."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convatlas.analysis.report import analyze
from convatlas.data.card import Source
from convatlas.data.segmentation import SegmentationSource
from convatlas.evaluate.evaluation import evaluate
from convatlas.evaluate.protocols import ViewProtocol
from convatlas.recipe import Recipe, to_dict
from convatlas.studies.images import AS_NAMED, Choice, Pictures, Subset, load_pictures, load_source
from convatlas.studies.study import Case
from convatlas.train.checkpoint import Checkpoints
from convatlas.train.events import EpochDone, Event
from convatlas.train.loop import Data, fit
from convatlas.train.segmentation import Segmentation
from convatlas.train.state import State
from convatlas.train.step import DivergedError
from convatlas.train.tasks import VALIDATION_BATCH, Classification

Make = Callable[[], nn.Module]
Shown = Pictures | Source | SegmentationSource


@dataclass(frozen=True, slots=True)
class Lab:
    """What a case needs to be measured.

    Attributes:
        seed: Of weights, order, augmentation and dropout.
        folder: Where it may leave what it needs to go on after a stop.
        choice: Where images are read from.
        stop: Whether to stop: then `StoppedError` is raised after the state is kept.
        told: Told (epoch, epochs) of a training.
    """

    seed: int
    folder: Path
    choice: Choice = AS_NAMED
    stop: Callable[[], bool] = lambda: False
    told: Callable[[int, int], None] = lambda *_: None

    def pictures(self, subset: Subset) -> Pictures:
        """Read images; errors are those of `load_pictures`."""
        return load_pictures(subset, self.choice)

    def fresh(self, make: Make) -> nn.Module:
        """Build a network with the weights that its training begins with."""
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.seed)
            return make()

    def train(
        self,
        make: Make,
        recipe: Recipe,
        pictures: Shown,
        *,
        task: Classification | Segmentation | None = None,
        called: str = "run",
    ) -> "Trained":
        """Train a network from the first step to the last, or from where it was stopped.

        Args:
            make: Builds it, with weights drawn from torch's generator.
            recipe: How.
            pictures: Of one size, which is what the network takes; or images and masks.
            task: What is learnt; None: the class of each image, see `task_of`.
            called: A name for the files of this training, if a case has several.

        Raises:
            StoppedError: `stop` said so.
        """
        state = State.fresh(self.fresh(make), recipe)
        checkpoints = Checkpoints(self.folder / called, keep=1)
        keep = checkpoints.take_up(state)

        def tell(event: Event) -> None:
            if isinstance(event, EpochDone):
                self.told(event.record["epoch"], event.epochs)

        if task is None:
            if isinstance(pictures, SegmentationSource):
                raise TypeError("images and masks need a task: make_segmentation gives one")
            task = task_of(pictures, recipe.resize_shorter)
        diverged = False
        try:
            fit(
                state,
                recipe,
                Data(pictures.train, pictures.val, task),
                seed=self.seed,
                keep=keep,
                stop=self.stop,
                progress=tell,
            )
        except DivergedError:
            diverged = True
        return Trained(state.result.eval(), state.records, diverged, pictures, recipe.epochs, task)


@dataclass(frozen=True, slots=True)
class Trained:
    """A network after its last epoch, or after the step in which it diverged.

    Attributes:
        model: In eval mode.
        records: One for each epoch, as in `metrics.jsonl`.
        diverged: Its loss, a gradient or a weight was not finite.
        pictures: What it has learnt from.
        epochs: Of its recipe.
        task: What it has learnt.
    """

    model: nn.Module
    records: Sequence[Mapping[str, Any]]
    diverged: bool
    pictures: Shown
    epochs: int
    task: Classification | Segmentation

    def measures(self) -> dict[str, Any]:
        """Give errors and losses, their curves, and the cost of the network.

        `train_error` and `train_loss` are means over the last epoch, of augmented images, with
        the network in train mode; `test_error` is of the last epoch, each test image once. Errors
        of segmentation are those of pixels. A network that diverged has the error of guessing and
        no loss.
        """
        cost = analyze(self.model, (self.pictures.card.channels, *self.task.preprocessing.size))
        return {
            **self._errors(),
            "diverged": self.diverged,
            "train_error_curve": self._curve("train_accuracy", error=True),
            "train_loss_curve": self._curve("train_loss"),
            "val_error_curve": self._curve("val_accuracy", error=True),
            "params": cost.params,
            "macs": cost.macs,
            "seconds": round(sum(record["seconds"] for record in self.records), 2),
        }

    def test_error(self) -> float:
        """Show each test image once; give the fraction that is not recognised."""
        return self._tested()["test_error"]

    def error_by(self, protocol: ViewProtocol) -> float:
        """Show views of each test image, as a protocol says; give the fraction not recognised."""
        if isinstance(self.pictures, SegmentationSource):
            raise TypeError("only whole images are tested by views")
        classes = self.pictures.card.classes
        if self.diverged:
            return 1 - 1 / len(classes)
        found = evaluate(
            self.model, self.pictures.test, self.task.preprocessing, classes, protocol=protocol
        )
        return 1 - found.top1_accuracy

    def _errors(self) -> dict[str, Any]:
        if self.diverged:
            chance = 1 - 1 / len(self.pictures.card.classes)
            return {"train_error": chance, "test_error": chance, "gap": 0.0} | dict.fromkeys(
                ("train_loss", "test_loss")
            )
        last, tested = self.records[-1], self._tested()
        train_error = 1 - last["train_accuracy"]
        return {
            "train_error": train_error,
            "train_loss": last["train_loss"],
            **tested,
            "gap": tested["test_error"] - train_error,
        }

    def _tested(self) -> dict[str, float]:
        evaluation = self.task.evaluate(
            self.model,
            self.pictures.test,
            batch_size=VALIDATION_BATCH,
            workers=0,
            progress=lambda *_: None,
        )
        found = self.task.metrics(evaluation)
        found = {name.replace("val_", "test_"): value for name, value in found.items()}
        return {"test_error": 1 - found.pop("test_accuracy"), **found}

    def _curve(self, metric: str, *, error: bool = False) -> list[float | None]:
        """Give a metric of each epoch; those after it diverged are unknown."""
        found = [1 - row[metric] if error else row[metric] for row in self.records]
        known = [value if math.isfinite(value) else None for value in found]
        return known + [None] * (self.epochs - len(known))


def task_of(
    pictures: Pictures | Source, resize_shorter: int | None = None, side: int | None = None
) -> Classification:
    """Say what is learnt: the class of each image, in the size that it has.

    Args:
        pictures: All of one size; those that are read from files are brought to it.
        resize_shorter: How these are: see `convatlas.recipe.Recipe`.
        side: Height and width that the network takes; None: those of the images.
    """
    card = pictures.card
    size = (side, side) if side else card.image_size or (0, 0)
    return Classification(card.preprocessing((card.channels, *size), resize_shorter), card.classes)


def training_case(
    name: str,
    make: Make,
    recipe: Recipe,
    subset: Subset,
    *,
    also: Callable[[Trained, Lab], Mapping[str, Any]] = lambda *_: {},
    side: int | None = None,
) -> Case:
    """Give the case of a network that is trained and tested: see `Trained.measures`.

    Args:
        name: Of the case.
        make: Builds the network.
        recipe: How it is trained.
        subset: Which images.
        also: Measures more of the trained network; its `__qualname__` counts as a setting.
        side: Height and width that the network takes, where the data set's card says how smaller
            images are brought to it; None: those of the images.
    """
    settings = training_settings(make, recipe, subset) | {"also": _named(also)}

    def measure(lab: Lab) -> Mapping[str, Any]:
        pictures = load_source(subset, lab.choice)
        task = task_of(pictures, recipe.resize_shorter, side)
        trained = lab.train(make, recipe, pictures, task=task)
        return {**trained.measures(), **also(trained, lab)}

    return Case(name, measure, settings | ({"side": side} if side else {}))


def training_settings(make: Make, recipe: Recipe, subset: Subset) -> dict[str, Any]:
    """Give what decides a training as JSON takes it; the network by what it prints of itself."""
    with torch.device("meta"), torch.random.fork_rng(devices=()):
        network = repr(make())
    return {"network": network, "recipe": to_dict(recipe), "images": subset.to_dict()}


def _named(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)
