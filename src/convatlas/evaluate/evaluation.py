"""Evaluate a classifier, or several as one, on a split."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import torch
from torch import nn

from convatlas.data.preprocess import Preprocessing
from convatlas.data.sources import Split
from convatlas.errors import InputError
from convatlas.evaluate.answers import Answerer, Answers, Precision, log_mean
from convatlas.evaluate.comparison import Comparison, compare
from convatlas.evaluate.protocols import CENTER, ViewProtocol
from convatlas.evaluate.result import Evaluation, Prediction
from convatlas.evaluate.sharing import UNSHARED, Sharing
from convatlas.evaluate.spread import Spread, spread
from convatlas.evaluate.tally import Counted, Tally

__all__ = ["Evaluation", "GroupEvaluation", "Prediction", "evaluate", "evaluate_ensemble"]


def evaluate(
    model: nn.Module,
    split: Split,
    preprocessing: Preprocessing,
    classes: Sequence[str],
    *,
    batch_size: int = 256,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    protocol: ViewProtocol = CENTER,
    precision: Precision = "float32",
    sharing: Sharing = UNSHARED,
) -> Evaluation:
    """Show each image of `split` to `model` and compare its answers with the labels.

    Args:
        model: A classifier; runs on the device it is on, in evaluation mode, and is left as it
            was.
        split: Images and labels.
        preprocessing: Makes the network's input of an image.
        classes: Names, in the order of the logits.
        batch_size: Images at a time; the result does not depend on it but for rounding.
        workers: Processes that read images.
        progress: Called after each batch with the batches done and the batches in all.
        protocol: Which views of an image are shown, and what is averaged.
        precision: `bf16` runs the network in automatic mixed precision.
        sharing: The processes that share the images; each gets the evaluation of all of them.

    Raises:
        InputError: An empty split, a label outside the classes, as many logits as there are not
            classes, logits that are not finite, or a network that the protocol can't run.
    """
    tally = Tally(split, classes)
    answerer = Answerer(model, preprocessing, protocol, precision)
    total = answerer.steps(split, batch_size)

    def count(part: tuple[int, int]) -> Counted:
        stream = answerer.through(split, batch_size, workers, part)
        for done, answers in enumerate(stream, start=1):
            tally.add(answers)
            if progress is not None:
                progress(done, total)
        return tally.counted

    tally.counted = Counted.merged(sharing.together(count))
    return tally.result()


@dataclass(frozen=True, slots=True)
class GroupEvaluation:
    """How good several networks are together, and each alone.

    Attributes:
        together: Of the mean of their probabilities.
        members: Of each network alone, in the order given.
    """

    together: Evaluation
    members: tuple[Evaluation, ...]

    @property
    def spread(self) -> Spread:
        """Mean and spread of the members' top-1 accuracy: of the seeds, if they differ in that."""
        return spread([member.top1_accuracy for member in self.members])

    @property
    def comparisons(self) -> dict[tuple[int, int], Comparison]:
        """Each pair of members: how alike their mistakes are."""
        pairs = combinations(range(len(self.members)), 2)
        found = self.members
        return {(i, j): compare(found[i].predictions, found[j].predictions) for i, j in pairs}

    def to_dict(self) -> dict[str, Any]:
        """Give the evaluation of all together as JSON takes it, with `members` and `pairs`."""
        members = [
            {
                key: getattr(m, key)
                for key in ("top1_accuracy", "top5_accuracy", "loss", "brier", "balanced_accuracy")
            }
            | {"top1_interval": list(m.top1_interval), "calibration_error": m.calibration.error}
            for m in self.members
        ]
        pairs = [
            {"members": list(pair), "agreement": found.agreement, **asdict(found)}
            for pair, found in self.comparisons.items()
        ]
        spread_ = asdict(self.spread)
        return self.together.to_dict() | {"members": members, "spread": spread_, "pairs": pairs}


def evaluate_ensemble(
    answerers: Sequence[Answerer],
    split: Split,
    classes: Sequence[str],
    *,
    batch_size: int = 256,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> GroupEvaluation:
    """Show each image to several networks and average their probabilities.

    Krizhevsky et al. 2012, section 6, average the predictions of five and of seven networks so.
    Each sees the image through its own preprocessing.

    Args:
        answerers: The networks, of the same classes.
        split: Images and labels.
        classes: Names, in the order of every network's logits.
        batch_size: As for `evaluate`.
        workers: Processes that read images, for each network.
        progress: As for `evaluate`.

    Raises:
        InputError: No network, networks with protocols that go through the images in other steps,
            or what `evaluate` refuses.
    """
    if not answerers:
        raise InputError("an ensemble needs at least one network")
    together, *alone = (Tally(split, classes) for _ in range(len(answerers) + 1))
    total = answerers[0].steps(split, batch_size)
    if any(answerer.steps(split, batch_size) != total for answerer in answerers):
        raise InputError("networks of an ensemble go through the images in as many steps each")
    streams = (answerer.through(split, batch_size, workers) for answerer in answerers)
    for done, answers in enumerate(zip(*streams, strict=True), start=1):
        for tally, own in zip(alone, answers, strict=True):
            tally.add(own)
        together.add(_averaged(answers))
        if progress is not None:
            progress(done, total)
    return GroupEvaluation(together.result(), tuple(tally.result() for tally in alone))


def _averaged(answers: Sequence[Answers]) -> Answers:
    stacked = torch.stack([own.log_probabilities for own in answers])
    return answers[0]._replace(log_probabilities=log_mean(stacked))
