"""What an evaluation found, image by image and in all."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from convatlas.evaluate.calibration import Calibration
from convatlas.evaluate.metrics import ClassScores, class_scores, wilson_interval

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
        top: The best five classes, the best first, or all where there are fewer.
        top_probabilities: Theirs.
    """

    index: int
    name: str
    label: int
    predicted: int
    probability: float
    loss: float
    rank: int
    top: tuple[int, ...] = ()
    top_probabilities: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a network is on one split.

    Attributes:
        classes: Names, in the order of the logits.
        top1_accuracy: Fraction of images whose true class came first.
        top5_accuracy: Fraction whose true class was among the best five, or among all where
            there are fewer.
        loss: Mean cross entropy, in nats.
        brier: Mean squared error of the probabilities, summed over classes: from 0 to 2.
        calibration: How sure the network is beside how often it is right.
        count: Images.
        per_class: Name -> fraction of its images that were recognised; None without images.
        confusion: Counts of images: a row for each true class, a column for each predicted one.
        predictions: One for each image, in the order of the split.
    """

    classes: tuple[str, ...]
    top1_accuracy: float
    top5_accuracy: float
    loss: float
    brier: float
    calibration: Calibration
    count: int
    per_class: dict[str, float | None]
    confusion: list[list[int]]
    predictions: list[Prediction]

    @property
    def top1_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the top-1 accuracy: what another test set might have given."""
        return wilson_interval(round(self.top1_accuracy * self.count), self.count)

    @property
    def top5_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the top-5 accuracy."""
        return wilson_interval(round(self.top5_accuracy * self.count), self.count)

    @property
    def class_scores(self) -> dict[str, ClassScores]:
        """Precision, recall and F1 of each class."""
        found = class_scores(torch.tensor(self.confusion))
        return dict(zip(self.per_class, found, strict=True))

    @property
    def balanced_accuracy(self) -> float:
        """The mean accuracy of the classes that have images: small classes count as much."""
        known = [accuracy for accuracy in self.per_class.values() if accuracy is not None]
        return sum(known) / len(known)

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that have images."""
        known = [scores.f1 for scores in self.class_scores.values() if scores.f1 is not None]
        return sum(known) / len(known)

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
            "top1_interval": list(self.top1_interval),
            "top5_accuracy": self.top5_accuracy,
            "top5_interval": list(self.top5_interval),
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "loss": self.loss,
            "brier": self.brier,
            "calibration_error": self.calibration.error,
            "calibration": [asdict(bin_) for bin_ in self.calibration.bins],
            "count": self.count,
            "classes": list(self.classes),
            "per_class": self.per_class,
            "class_scores": {name: asdict(s) for name, s in self.class_scores.items()},
            "confusion": self.confusion,
            "mistakes": [asdict(p) for p in self.mistakes()],
            "examples": [asdict(p) for p in self.examples()],
        }
