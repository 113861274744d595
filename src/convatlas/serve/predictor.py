"""Answer one question: what is in this image?

A predictor is a network and what its file says of it: class names and preprocessing. Several of
them make an ensemble.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from convatlas.data.download import Progress
from convatlas.data.preprocess import Preprocessing
from convatlas.errors import InputError
from convatlas.evaluate.answers import Answerer, Precision
from convatlas.evaluate.devices import find_device
from convatlas.evaluate.protocols import CENTER, ViewProtocol
from convatlas.weights.opening import open_model


@dataclass(frozen=True, slots=True)
class Guess:
    """A class that an image may show, and how probable the network finds it."""

    label: int
    name: str
    probability: float


class Answers(Protocol):
    """What a predictor and an ensemble have in common."""

    classes: tuple[str, ...]

    def probabilities(self, image: Image.Image) -> Tensor:
        """Give the probability of each class: (classes,), float64, on the CPU."""
        ...


class Predictor:
    """A trained network that takes images as people have them.

    Attributes:
        name: Of the network.
        model: The network, in evaluation mode.
        classes: Names, in the order of the logits.
        preprocessing: Makes the network's input of an image.
        answerer: The network as the protocol shows it images.
    """

    def __init__(
        self,
        model: nn.Module,
        metadata: dict[str, Any],
        protocol: ViewProtocol = CENTER,
        precision: Precision = "float32",
    ) -> None:
        """Take what `convatlas.load` gives.

        Args:
            model: The network.
            metadata: What its file says of it.
            protocol: Which views of an image it is shown.
            precision: See `convatlas.evaluate.answers.Answerer`.

        Raises:
            InputError: The metadata don't tell the preprocessing, or name too few classes; the
                network can't be shown images so.
        """
        self.name: str = metadata.get("architecture", type(model).__name__)
        self.model = model.eval()
        self.preprocessing = _preprocessing(self.name, metadata)
        self.classes = _classes(self.name, metadata)
        self.answerer = Answerer(self.model, self.preprocessing, protocol, precision)

    @classmethod
    def load(
        cls,
        model: str | Path,
        weights: str | Path | None = None,
        source: str | None = None,
        *,
        protocol: ViewProtocol = CENTER,
        precision: Precision = "float32",
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> "Predictor":
        """Open a trained network, as `convatlas.weights.opening.open_model` does.

        Args:
            model: A run folder, a safetensors file, or the name of a network.
            weights: Of a network's name.
            source: Which library wrote the weights; None: by the names of the tensors.
            protocol: Which views of an image it is shown.
            precision: See `convatlas.evaluate.answers.Answerer`.
            device: Where the network runs: "cpu", "cuda", "cuda:1", "auto"; see
                `convatlas.evaluate.devices.find_device`.
            progress: Told of the way of published weights here.

        Raises:
            UnknownNameError: No device is called so.
            InputError: There is no such device here.
        """
        place = find_device(device)
        network, metadata = open_model(model, weights, source, progress)
        return cls(network.to(place), metadata, protocol, precision)

    def prepare(self, image: Image.Image) -> Tensor:
        """Make the network's input of an image: (1, C, H, W), on the network's device."""
        tensor = self.preprocessing(image)[None]
        return tensor.to(next(self.model.parameters(), tensor))

    def probabilities(self, image: Image.Image) -> Tensor:
        """Give the probability of each class: (classes,), float64, on the CPU.

        Raises:
            InputError: The network has another number of outputs, or they are not finite.
        """
        found = self.answerer.of_picture(image)
        if found.dim() == 3 and len(found) == len(self.classes):
            raise InputError(
                f"{self.name} gives a class to each pixel, none to the image: "
                "convatlas segment writes its masks"
            )
        if tuple(found.shape) != (len(self.classes),):
            raise InputError(
                f"{self.name} gives {tuple(found.shape)} for an image; "
                f"{len(self.classes)} class names need ({len(self.classes)},)"
            )
        if not torch.isfinite(found).all():
            raise InputError(f"{self.name} gives logits that are not finite: broken weights")
        return found.exp()

    def predict(self, image: Image.Image, top: int = 5) -> list[Guess]:
        """Give the `top` most probable classes, the best first."""
        return guesses(self, image, top)


class Ensemble:
    """Several networks that answer as one: the mean of their probabilities.

    Krizhevsky et al. 2012, section 6, average the predictions of five and of seven networks so.
    Each network sees the image through its own preprocessing.

    Attributes:
        members: The predictors.
        classes: Names, the same for every member.
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        """Take at least one predictor.

        Raises:
            InputError: No predictor, or class names that differ.
        """
        if not members:
            raise InputError("an ensemble needs at least one network")
        for member in members[1:]:
            _check_same_classes(members[0], member)
        self.members = tuple(members)
        self.classes = members[0].classes

    def probabilities(self, image: Image.Image) -> Tensor:
        """Give the mean probability of each class: (classes,), float64, on the CPU."""
        return torch.stack([m.probabilities(image) for m in self.members]).mean(dim=0)

    def predict(self, image: Image.Image, top: int = 5) -> list[Guess]:
        """Give the `top` most probable classes, the best first."""
        return guesses(self, image, top)


def guesses(answers: Answers, image: Image.Image, top: int = 5) -> list[Guess]:
    """Give the `top` most probable classes, the best first, fewer where there are fewer.

    Raises:
        InputError: `top` is below 1.
    """
    if top < 1:
        raise InputError(f"can't give the top {top}: at least 1")
    probabilities = answers.probabilities(image).tolist()
    order = sorted(range(len(probabilities)), key=lambda label: (-probabilities[label], label))
    return [Guess(i, answers.classes[i], probabilities[i]) for i in order[:top]]


def _preprocessing(name: str, metadata: dict[str, Any]) -> Preprocessing:
    if not metadata.get("preprocessing"):
        raise InputError(
            f"the file of this {name} doesn't tell how images are prepared for it; save it with "
            'metadata={"preprocessing": ..., "classes": ...}'
        )
    return Preprocessing.from_dict(metadata["preprocessing"])


def _classes(name: str, metadata: dict[str, Any]) -> tuple[str, ...]:
    """Give the class names; numbers where the file has none."""
    count = metadata.get("num_classes")
    classes = metadata.get("classes") or [str(i) for i in range(count or 0)]
    if count is not None and len(classes) != count:
        raise InputError(f"the file of this {name} names {len(classes)} classes of {count}")
    return tuple(str(c) for c in classes)


def _check_same_classes(first: Predictor, other: Predictor) -> None:
    if len(first.classes) != len(other.classes):
        raise InputError(
            f"can't average networks with different classes: {first.name} has "
            f"{len(first.classes)}, {other.name} has {len(other.classes)}"
        )
    for i, (one, two) in enumerate(zip(first.classes, other.classes, strict=True)):
        if one != two:
            raise InputError(
                f"can't average networks with different classes: class {i} is {one!r} in "
                f"{first.name} and {two!r} in {other.name}"
            )
