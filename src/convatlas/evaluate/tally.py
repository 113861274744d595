"""Count answers, batch after batch, until they are an evaluation."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from convatlas.data.sources import Split
from convatlas.errors import InputError
from convatlas.evaluate.answers import Answers
from convatlas.evaluate.calibration import calibrate
from convatlas.evaluate.metrics import (
    brier_scores,
    class_accuracies,
    confusion_matrix,
    ranks,
    top_k_accuracy,
)
from convatlas.evaluate.result import Evaluation, Prediction


@dataclass(slots=True)
class Counted:
    """Images that were counted.

    Attributes:
        predictions: One for each.
        brier: Sum of their Brier scores.
    """

    predictions: list[Prediction] = field(default_factory=list)
    brier: float = 0.0

    @classmethod
    def merged(cls, parts: Sequence["Counted"]) -> "Counted":
        """Put together what several processes have counted, in the order of the split."""
        predictions = [prediction for part in parts for prediction in part.predictions]
        predictions.sort(key=lambda prediction: prediction.index)
        return cls(predictions, sum(part.brier for part in parts))


class Tally:
    """What is known so far of a network on a split.

    Attributes:
        split: Where the images come from.
        classes: Names, in the order of the logits.
        counted: The images so far.
    """

    def __init__(self, split: Split, classes: Sequence[str]) -> None:
        """Begin with nothing.

        Raises:
            InputError: The split is empty, or a label is outside the classes.
        """
        self.split, self.classes = split, tuple(classes)
        self.counted = Counted()
        _check_labels(split, len(self.classes))

    def add(self, answers: Answers) -> None:
        """Count some more images.

        Raises:
            InputError: As many outputs as there are not classes, or outputs that are not finite.
        """
        found, labels = answers.log_probabilities, answers.labels
        if tuple(found.shape) != (len(labels), len(self.classes)):
            raise InputError(
                f"the network gives {tuple(found.shape)} for {len(labels)} images; "
                f"{len(self.classes)} classes need ({len(labels)}, {len(self.classes)})"
            )
        self.counted.predictions += self._predictions(answers)
        self.counted.brier += float(brier_scores(found.exp(), labels).sum())

    def result(self) -> Evaluation:
        """Give the evaluation of all images that were counted."""
        found, classes = self.counted.predictions, self.classes
        places = torch.tensor([p.rank for p in found])
        labels, predicted = ([getattr(p, key) for p in found] for key in ("label", "predicted"))
        confusion = confusion_matrix(torch.tensor(labels), torch.tensor(predicted), len(classes))
        return Evaluation(
            classes=classes,
            top1_accuracy=top_k_accuracy(places, 1),
            top5_accuracy=top_k_accuracy(places, min(5, len(classes))),
            loss=sum(p.loss for p in found) / len(found),
            brier=self.counted.brier / len(found),
            calibration=calibrate([p.probability for p in found], [p.rank == 0 for p in found]),
            count=len(found),
            per_class=dict(zip(_distinct(classes), class_accuracies(confusion), strict=True)),
            confusion=confusion.tolist(),
            predictions=found,
        )

    def _predictions(self, answers: Answers) -> list[Prediction]:
        found, labels = answers.log_probabilities, answers.labels
        columns = (
            answers.indices.tolist(),
            labels.tolist(),
            (-found.gather(1, labels[:, None])[:, 0]).clamp(min=0).tolist(),
            ranks(found, labels).tolist(),
            *_best(found, min(5, len(self.classes))),
        )
        return [
            Prediction(
                index=index,
                name=self.split.name(index),
                label=label,
                predicted=top[0],
                probability=probabilities[0],
                loss=loss,
                rank=rank,
                top=tuple(top),
                top_probabilities=tuple(probabilities),
            )
            for index, label, loss, rank, top, probabilities in zip(*columns, strict=True)
        ]


def _best(found: Tensor, count: int) -> tuple[list[list[int]], list[list[float]]]:
    """Give the classes of the greatest values, the first of equal ones first, as in `ranks`."""
    values, top = found.sort(dim=1, descending=True, stable=True)
    return top[:, :count].tolist(), values[:, :count].exp().tolist()


def _check_labels(split: Split, num_classes: int) -> None:
    labels = torch.tensor(list(split.labels), dtype=torch.long)
    if not len(labels):
        raise InputError("can't evaluate on a split without images")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        wrong = low if low < 0 else high
        raise InputError(
            f"a label of the split is {wrong}; with {num_classes} classes they go "
            f"from 0 to {num_classes - 1}"
        )


def _distinct(names: Sequence[str]) -> list[str]:
    """Add the index to names that occur twice, as "crane" does in ImageNet: keys are unique."""
    counts = Counter(names)
    return [f"{name} ({i})" if counts[name] > 1 else name for i, name in enumerate(names)]
