"""Evaluate a classifier on a split: one centre view of each image."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.data.loader import batches, num_batches
from convatlas.data.preprocess import Preprocessing
from convatlas.data.sources import Split
from convatlas.errors import InputError
from convatlas.evaluate.metrics import class_accuracies, confusion_matrix, ranks, top_k_accuracy
from convatlas.evaluate.modes import eval_mode

SHOWN = 24  # mistakes and examples that `Evaluation.to_dict` keeps


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network said of one image.

    Attributes:
        index: Place of the image in its split.
        name: The split's name of it: a path, or the source and the index.
        label: True class.
        predicted: The class with the greatest probability.
        probability: Of the predicted class, in [0, 1].
        loss: Cross entropy of the true class, in nats.
        rank: Classes placed above the true one; 0 is a right answer.
    """

    index: int
    name: str
    label: int
    predicted: int
    probability: float
    loss: float
    rank: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a network is on one split.

    Attributes:
        classes: Names, in the order of the logits.
        top1_accuracy: Fraction of images whose true class came first.
        top5_accuracy: Fraction whose true class was among the best five, or among all where
            there are fewer.
        loss: Mean cross entropy, in nats.
        count: Images.
        per_class: Name -> fraction of its images that were recognised; None without images.
        confusion: Counts of images: a row for each true class, a column for each predicted one.
        predictions: One for each image, in the order of the split.
    """

    classes: tuple[str, ...]
    top1_accuracy: float
    top5_accuracy: float
    loss: float
    count: int
    per_class: dict[str, float | None]
    confusion: list[list[int]]
    predictions: list[Prediction]

    def mistakes(self, count: int = SHOWN) -> list[Prediction]:
        """Give the wrong predictions with the greatest loss, the worst first."""
        wrong = [p for p in self.predictions if p.predicted != p.label]
        return sorted(wrong, key=lambda p: (-p.loss, p.index))[:count]

    def examples(self, count: int = SHOWN) -> list[Prediction]:
        """Give the first right prediction of each class: not the best, so nobody chose them."""
        first: dict[int, Prediction] = {}
        for prediction in self.predictions:
            if prediction.predicted == prediction.label:
                first.setdefault(prediction.label, prediction)
        return [first[label] for label in sorted(first)][:count]

    def to_dict(self) -> dict[str, Any]:
        """Give what JSON can hold: all but the predictions, of which it keeps the telling ones."""
        return {
            "top1_accuracy": self.top1_accuracy,
            "top5_accuracy": self.top5_accuracy,
            "loss": self.loss,
            "count": self.count,
            "classes": list(self.classes),
            "per_class": self.per_class,
            "confusion": self.confusion,
            "mistakes": [asdict(p) for p in self.mistakes()],
            "examples": [asdict(p) for p in self.examples()],
        }


def evaluate(
    model: nn.Module,
    split: Split,
    preprocessing: Preprocessing,
    classes: Sequence[str],
    *,
    batch_size: int = 256,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Show each image of `split` to `model` once and compare its answers with the labels.

    Args:
        model: A classifier; runs on the device it is on, in evaluation mode, and is left as it
            was.
        split: Images and labels.
        preprocessing: Makes the network's input of an image.
        classes: Names, in the order of the logits.
        batch_size: Images at a time; the result does not depend on it but for rounding.
        workers: Processes that read images.
        progress: Called after each batch with the batches done and the batches in all.

    Raises:
        InputError: An empty split, a label outside the classes, as many logits as there are not
            classes, or logits that are not finite.
    """
    classes = tuple(classes)
    labels = torch.tensor(list(split.labels), dtype=torch.long)
    _check_labels(labels, len(classes))
    found: list[Prediction] = []
    total = num_batches(split, batch_size)
    with eval_mode(model), torch.inference_mode():
        stream = batches(split, preprocessing, batch_size, workers=workers)
        for done, batch in enumerate(stream, start=1):
            logits = model(batch.images.to(_input_like(model, batch.images)))
            _check_logits(logits, len(batch.labels), len(classes))
            found += _predictions(logits.float().cpu(), batch.labels, batch.indices, split)
            if progress is not None:
                progress(done, total)
    return _summary(classes, found)


def _summary(classes: tuple[str, ...], found: list[Prediction]) -> Evaluation:
    places = torch.tensor([p.rank for p in found])
    confusion = confusion_matrix(
        torch.tensor([p.label for p in found]),
        torch.tensor([p.predicted for p in found]),
        len(classes),
    )
    return Evaluation(
        classes=classes,
        top1_accuracy=top_k_accuracy(places, 1),
        top5_accuracy=top_k_accuracy(places, min(5, len(classes))),
        loss=sum(p.loss for p in found) / len(found),
        count=len(found),
        per_class=dict(zip(_distinct(classes), class_accuracies(confusion), strict=True)),
        confusion=confusion.tolist(),
        predictions=found,
    )


def _predictions(logits: Tensor, labels: Tensor, indices: Tensor, split: Split) -> list[Prediction]:
    places = ranks(logits, labels)
    losses = torch.nn.functional.cross_entropy(logits.double(), labels, reduction="none")
    predicted = logits.argmax(dim=1)  # the first of equal ones, as in `ranks`
    probabilities = logits.double().softmax(dim=1).gather(1, predicted[:, None])[:, 0]
    return [
        Prediction(index, split.name(index), label, guess, probability, loss, rank)
        for index, label, guess, probability, loss, rank in zip(
            indices.tolist(),
            labels.tolist(),
            predicted.tolist(),
            probabilities.tolist(),
            losses.tolist(),
            places.tolist(),
            strict=True,
        )
    ]


def _input_like(model: nn.Module, images: Tensor) -> Tensor:
    """Give a tensor with the device and the type that `model` takes."""
    return next(model.parameters(), images)


def _check_labels(labels: Tensor, num_classes: int) -> None:
    if not len(labels):
        raise InputError("can't evaluate on a split without images")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        wrong = low if low < 0 else high
        raise InputError(
            f"a label of the split is {wrong}; with {num_classes} classes they go "
            f"from 0 to {num_classes - 1}"
        )


def _check_logits(logits: Tensor, count: int, num_classes: int) -> None:
    if tuple(logits.shape) != (count, num_classes):
        raise InputError(
            f"the network gives {tuple(logits.shape)} for {count} images; "
            f"{num_classes} classes need ({count}, {num_classes})"
        )


def _distinct(names: Sequence[str]) -> list[str]:
    """Add the index to names that occur twice, as "crane" does in ImageNet: keys are unique."""
    counts = Counter(names)
    return [f"{name} ({i})" if counts[name] > 1 else name for i, name in enumerate(names)]
