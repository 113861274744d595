"""Features of whole splits as vectors: what a layer says of each image, in a file.

The activations of the last but one fully connected layer, L2-normalised and with a linear
classifier on top, serve other data sets: Simonyan & Zisserman 2015 (1409.1556), appendix B.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from convatlas.data.loader import batches, num_batches
from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import Split
from convatlas.errors import FileError, InputError
from convatlas.evaluate.modes import eval_mode
from convatlas.files import whole_file
from convatlas.transfer.features import features

Pooling = Literal["average", "flatten"]


@dataclass(frozen=True, slots=True)
class Descriptors:
    """A vector for each image of a split.

    Attributes:
        vectors: (N, D), float32.
        labels: (N,), int64.
        names: The split's name of each image.
        classes: Names, by label.
        layer: Where the vectors come from.
    """

    vectors: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    classes: tuple[str, ...]
    layer: str


def describe(
    model: nn.Module,
    split: Split,
    preprocessing: Preprocessing,
    classes: Sequence[str],
    layer: str,
    *,
    pooling: Pooling = "average",
    batch_size: int = 64,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Descriptors:
    """Give what a layer of a network says of each image of a split.

    Args:
        model: Any network; runs in evaluation mode up to the layer, and is left as it was.
        split: Images and labels.
        preprocessing: Makes the network's input of an image.
        classes: Names, by label.
        layer: Its dotted name, such as `head.fc7` of VGG or `stages.conv4_x` of a ResNet.
        pooling: What becomes of maps (C, H, W): their average (C), or all of it (C * H * W).
        batch_size: Images at a time.
        workers: Processes that read images.
        progress: Called with the batches done and the batches in all.

    Raises:
        UnknownNameError: No such layer.
        InputError: An empty split, or a layer that gives no batch of vectors or maps.
    """
    if not len(split):
        raise InputError("can't describe a split without images")
    vectors, labels, indices = list[np.ndarray](), list[Tensor](), list[int]()
    total = num_batches(split, batch_size)
    with eval_mode(model), torch.inference_mode():
        stream = batches(split, preprocessing, batch_size, workers=workers)
        for done, batch in enumerate(stream, start=1):
            images = batch.images.to(next(model.parameters(), batch.images))
            found = features(model, images, at=[layer])[layer]
            vectors.append(_vectors(found, len(images), layer, pooling).float().cpu().numpy())
            labels.append(batch.labels)
            indices += batch.indices.tolist()
            if progress is not None:
                progress(done, total)
    return Descriptors(
        vectors=np.concatenate(vectors),
        labels=torch.cat(labels).numpy(),
        names=tuple(split.name(i) for i in indices),
        classes=tuple(classes),
        layer=layer,
    )


def write_descriptors(descriptors: Descriptors, path: str | Path) -> None:
    """Write vectors, labels, names, classes and layer as a compressed `.npz` without pickles.

    Raises:
        InputError: Another kind of file.
        FileError: It can't be written.
    """
    check_npz(path)
    with whole_file(path) as aside, aside.open("wb") as file:
        np.savez_compressed(
            file,
            vectors=descriptors.vectors,
            labels=descriptors.labels,
            names=np.array(descriptors.names, dtype=np.str_),
            classes=np.array(descriptors.classes, dtype=np.str_),
            layer=np.array(descriptors.layer),
        )


def read_descriptors(path: str | Path) -> Descriptors:
    """Read what `write_descriptors` wrote; nothing in the file is run.

    Raises:
        FileError: No such file, or not one of ours.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = Descriptors(
                vectors=file["vectors"],
                labels=file["labels"],
                names=tuple(file["names"].tolist()),
                classes=tuple(file["classes"].tolist()),
                layer=str(file["layer"]),
            )
    except FileNotFoundError as error:
        raise FileError(f"no file {path}") from error
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise FileError(f"{path} is no file of features: {error}") from error
    if found.vectors.ndim != 2 or len(found.vectors) != len(found.labels):
        raise FileError(f"{path} is no file of features: {found.vectors.shape} is not (N, D)")
    return found


def check_npz(path: str | Path) -> None:
    """Refuse a name that other programs would not know as NumPy's, before anything is computed."""
    if Path(path).suffix != ".npz":
        raise InputError(f"features go into a .npz file, not {Path(path).name!r}")


def _vectors(found: Tensor, count: int, layer: str, pooling: Pooling) -> Tensor:
    if found.dim() not in (2, 4) or len(found) != count:
        raise InputError(
            f"layer {layer!r} gives {tuple(found.shape)} for {count} images: neither a vector "
            "(N, D) nor maps (N, C, H, W)"
        )
    if found.dim() == 4 and pooling == "average":
        return found.mean(dim=(2, 3))
    return found.flatten(1)
