"""Begin with weights that have learnt from other images: what stays, and what learns slowly."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from convatlas.data.augment import AreaCrop, Flip
from convatlas.data.download import Progress as DownloadProgress
from convatlas.data.preprocess import Preprocessing
from convatlas.errors import InputError, unknown
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import Cosine, Warmup
from convatlas.weights.fitting import WeightsWarning, axes_of_sizes, fill, with_channels
from convatlas.weights.opening import open_model

FINETUNE_NAME = "finetune"
FINETUNE = Recipe(
    where="our own, for a few hundred images and weights that have seen many",
    batch_size=32,
    epochs=20,
    optimizer=SGD(lr=0.01, momentum=0.9, weight_decay=1e-4),
    schedule=Warmup(1, Cosine(19)),
    augment=(AreaCrop(area=(0.35, 1.0)), Flip()),
    clip_norm=5.0,
)


@dataclass(frozen=True, slots=True)
class Start:
    """What a network begins with, and which of it may change.

    Attributes:
        weights: What `convatlas.weights.opening.open_model` takes: a run folder, a file, the name
            of published ones; None: fresh ones.
        freeze: Layers that stay as they are, by dotted name, with all that is in them.
        layer_decay: Each stage learns at this many times the rate of the one behind it; the head
            at the full rate.
    """

    weights: str | Path | None = None
    freeze: tuple[str, ...] = ()
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        """Refuse rates that nothing can learn with."""
        if not 0 < self.layer_decay <= 1:
            raise InputError(f"layer_decay must be above 0 and at most 1, not {self.layer_decay}")

    def to_config(self) -> dict[str, Any]:
        """Give the fields as `config.json` holds them."""
        return {
            "weights": None if self.weights is None else str(self.weights),
            "freeze": list(self.freeze),
            "layer_decay": self.layer_decay,
        }


FRESH = Start()


@dataclass(frozen=True, slots=True)
class Donor:
    """A trained network that gives its weights to another one.

    Attributes:
        model: The network.
        metadata: What its file says of it.
        source: The file, for messages.
    """

    model: nn.Module
    metadata: dict[str, Any]
    source: str

    @classmethod
    def read(
        cls, name: str, weights: str | Path, progress: DownloadProgress | None = None
    ) -> "Donor":
        """Open the weights of a network; see `convatlas.weights.opening.open_model`.

        Raises:
            InputError: They are of another network.
            FileError: They can't be read.
        """
        return cls(*open_model(name, weights, progress=progress), str(weights))

    @property
    def overrides(self) -> dict[str, Any]:
        """Fields of the spec that it was built with."""
        return dict(self.metadata["overrides"])

    @property
    def preprocessing(self) -> Preprocessing | None:
        """What makes its input of an image, if its file says so."""
        told = self.metadata.get("preprocessing")
        return None if told is None else Preprocessing.from_dict(told)

    def give(self, model: nn.Module) -> None:
        """Copy the weights into a network with any number of classes and channels.

        The last layer keeps its own where it has another number of classes, and so do side
        classifiers that the donor lacks; a `WeightsWarning` tells of the layer.
        """
        axes, own, tensors = axes_of_sizes(model), model.state_dict(), self.model.state_dict()
        for key in axes["in_channels"]:
            if key in tensors and tensors[key].shape[1] != own[key].shape[1]:
                tensors[key] = with_channels(tensors[key], own[key].shape[1])
        tensors = {key: own[key] for key in own if key.startswith("sides.")} | tensors
        for remark in fill(model, tensors, self.source, list(axes["num_classes"])):
            warnings.warn(remark, WeightsWarning, stacklevel=2)


def freeze(model: nn.Module, names: Sequence[str]) -> tuple[nn.Module, ...]:
    """Fix the parameters of these layers.

    Args:
        model: Its parameters below the layers no longer take gradients.
        names: Dotted names of layers; a name stands for all that is in the layer.

    Returns:
        The layers. They are to stay in evaluation mode too, as `learning_mode` sees to: else
        their batch norms would go on to average, and dropout to drop.

    Raises:
        UnknownNameError: The network has no such layer; the message lists the nearest.
        InputError: Nothing is left that could learn.
    """
    layers = dict(model.named_modules())
    del layers[""]
    for name in names:
        if name not in layers:
            raise unknown("layer", name, layers)
    frozen = tuple(layers[name] for name in names)
    for layer in frozen:
        layer.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(f"freezing {', '.join(names)} leaves nothing to train")
    return frozen


def learning_mode(model: nn.Module, frozen: Sequence[nn.Module]) -> None:
    """Put a network in training mode and its frozen layers in evaluation mode."""
    model.train()
    for layer in frozen:
        layer.eval()


def depths(model: nn.Module) -> dict[str, int]:
    """Count, for each parameter, the stages between it and the end of the network.

    The head and side classifiers are at 0, the last stage at 1, the stem is deepest. What stands
    for a stage is a child of `stages`, and each other child of the network; those without
    parameters do not count.
    """
    blocks = [block for block in _blocks(model) if any(True for _ in block[1].parameters())]
    found: dict[str, int] = {}
    for place, (prefix, block) in enumerate(blocks):
        beside = prefix.startswith("sides")  # they stand behind the head in the list of children
        depth = 0 if beside else _main(blocks) - 1 - place
        for name, _ in block.named_parameters():
            found[f"{prefix}.{name}"] = depth
    return found


def _blocks(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, child in model.named_children():
        if name == "stages":
            yield from ((f"stages.{inner}", stage) for inner, stage in child.named_children())
        else:
            yield name, child


def _main(blocks: Sequence[tuple[str, nn.Module]]) -> int:
    return sum(not prefix.startswith("sides") for prefix, _ in blocks)
