"""What differs between kinds of training: to name an image, or the class of every pixel."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from convatlas.data.loader import Batch, batches
from convatlas.data.preprocess import Preprocessing
from convatlas.errors import InputError
from convatlas.evaluate.evaluation import Evaluation, evaluate
from convatlas.evaluate.sharing import UNSHARED, Sharing
from convatlas.recipe import Recipe
from convatlas.train.losses import Loss, balancing_weights, make_loss

VALIDATION_BATCH = 256  # images at a time, where memory allows it


class Images(Protocol):
    """What the loop knows of a split, whatever is learnt from it."""

    def __len__(self) -> int: ...

    def name(self, i: int) -> str:
        """Name image `i` so that a person finds it again."""
        ...


class Task(Protocol):
    """How images become batches, how wrong an answer is, and how good a network is.

    The splits that `batches`, `make_loss` and `evaluate` are given are the task's own kind; the
    loop asks them for their length and for the names of images, no more.

    Attributes:
        classes: Names, in the order of the logits.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of the logits."""
        ...

    def check(self, recipe: Recipe) -> None:
        """Refuse a recipe that this task can't follow, before anything runs.

        Raises:
            InputError: The message names the field.
        """
        ...

    def make_loss(self, recipe: Recipe, split: Any) -> Loss:
        """Give the loss of a recipe; `split` tells how many there are of each class."""
        ...

    def batches(
        self,
        split: Any,
        recipe: Recipe,
        *,
        seed: int,
        epoch: int,
        start: int,
        workers: int,
        part: tuple[int, int] = (0, 1),
    ) -> Iterator[Batch]:
        """Go through one epoch of training, from batch number `start` on.

        What comes depends on seed and epoch alone, never on `start` or `workers`; `part` is that
        of `convatlas.data.loader.batches`.
        """
        ...

    def correct(self, logits: Tensor, targets: Tensor) -> tuple[int, int]:
        """Count the right answers, and all of them."""
        ...

    def evaluate(
        self,
        model: Any,
        split: Any,
        *,
        batch_size: int,
        workers: int,
        progress: Callable[[int, int], None],
        sharing: Sharing = UNSHARED,
    ) -> Any:
        """Test a network on a split; the result has `to_dict()`, which `test.json` holds.

        Processes of one `sharing` all call it, and all get the result of the whole split.

        Raises:
            InputError: Such as logits that are not finite.
        """
        ...

    def metrics(self, evaluation: Any) -> dict[str, float]:
        """Give what a line of `metrics.jsonl` says of a validation.

        At least `val_loss` and `val_accuracy`, in [0, 1], at which `OnPlateau` looks.
        """
        ...

    def summary(self, test: Mapping[str, Any]) -> dict[str, Any]:
        """Give the few numbers of `test.json` that the weights file and the result repeat."""
        ...


@dataclass(frozen=True, slots=True)
class Classification:
    """One label for each image.

    Attributes:
        preprocessing: Makes the network's input of an image.
        classes: Names, in the order of the logits.
        device: Where training images become floating-point numbers; None: the processor.
    """

    preprocessing: Preprocessing
    classes: tuple[str, ...]
    device: torch.device | None = None

    def check(self, recipe: Recipe) -> None:
        """Refuse a loss without a form for what the recipe wants of it.

        Raises:
            UnknownNameError: No such loss.
            InputError: Mixed images or weighted classes with another loss than the cross entropy;
                tiles, which whole images do not have.
        """
        if recipe.tile is not None:
            raise InputError("tile is of segmentation: a classifier learns from whole images")
        balanced = balancing_weights([0], 1) if recipe.balance == "loss" else None
        make_loss(recipe.loss, recipe.label_smoothing, balanced)
        if recipe.mix and recipe.loss != "cross_entropy":
            raise InputError(f"the loss {recipe.loss} takes no mixed labels: set mix=[]")

    def make_loss(self, recipe: Recipe, split: Any) -> Loss:
        """Give the recipe's loss; `balance="loss"` weighs by the labels of `split`."""
        weights = None
        if recipe.balance == "loss":
            weights = balancing_weights(split.labels, len(self.classes))
        return make_loss(recipe.loss, recipe.label_smoothing, weights)

    def batches(
        self,
        split: Any,
        recipe: Recipe,
        *,
        seed: int,
        epoch: int,
        start: int,
        workers: int,
        part: tuple[int, int] = (0, 1),
    ) -> Iterator[Batch]:
        """Go through the images in random order, or drawn by class, augmented."""
        return batches(
            split,
            self.preprocessing,
            recipe.batch_size,
            augment=recipe.augment,
            seed=seed,
            epoch=epoch,
            start=start,
            shuffle=True,
            balance=recipe.balance == "sampling",
            workers=workers,
            part=part,
            device=self.device,
        )

    def correct(self, logits: Tensor, targets: Tensor) -> tuple[int, int]:
        """Count the images that are recognised, and all of them."""
        return int((logits.argmax(dim=1) == targets).sum()), len(targets)

    def evaluate(
        self,
        model: Any,
        split: Any,
        *,
        batch_size: int,
        workers: int,
        progress: Callable[[int, int], None],
        sharing: Sharing = UNSHARED,
    ) -> Evaluation:
        """Show each image once, in the centre view."""
        return evaluate(
            model,
            split,
            self.preprocessing,
            self.classes,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
            sharing=sharing,
        )

    def metrics(self, evaluation: Any) -> dict[str, float]:
        """Give the cross entropy without smoothing, and the top-1 accuracy."""
        return {"val_loss": evaluation.loss, "val_accuracy": evaluation.top1_accuracy}

    def summary(self, test: Mapping[str, Any]) -> dict[str, Any]:
        """Give both accuracies, the loss and the number of images."""
        return {key: test[key] for key in ("top1_accuracy", "top5_accuracy", "loss", "count")}
