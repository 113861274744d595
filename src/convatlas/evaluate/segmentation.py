"""Evaluate a segmentation network on a split: the class of each pixel of whole images."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from convatlas.data.masks import IGNORED
from convatlas.data.preprocess import Preprocessing
from convatlas.data.tolerant import Pairs, TolerantPairs
from convatlas.errors import InputError
from convatlas.evaluate.overlap import (
    dice,
    intersection_over_union,
    mean_of_known,
    pixel_error,
    rand_error,
)
from convatlas.evaluate.sharing import UNSHARED, Sharing
from convatlas.evaluate.tiling import PLAIN, Tiling, check_finite, pixels_of, tiled_logits
from convatlas.evaluate.warping import split_merge_error, warping_error


@dataclass(frozen=True, slots=True)
class ImageScore:
    """How well one image is segmented.

    Attributes:
        index: Place of the image in its split.
        name: The split's name of it.
        pixel_error: Fraction of its pixels whose class is wrong.
        mean_iou: Mean over the classes that it shows or that are predicted.
        rand_error: Of its cells; None: not measured.
        warping_error: Likewise.
        split_merge_error: Likewise.
    """

    index: int
    name: str
    pixel_error: float
    mean_iou: float
    rand_error: float | None = None
    warping_error: float | None = None
    split_merge_error: float | None = None


@dataclass(frozen=True, slots=True)
class SegmentationEvaluation:
    """How good a segmentation network is on one split; pixels of all images count alike.

    Attributes:
        classes: Names, in the order of the logits.
        pixel_error: Fraction of pixels whose class is wrong.
        mean_iou: Intersection over union, mean over the classes that are there.
        mean_dice: Likewise.
        loss: Mean cross entropy of a pixel, in nats, whatever the network was trained with.
        count: Images.
        pixels: Pixels whose class is known.
        per_class: Name -> `iou` and `dice`; None for a class that is nowhere.
        confusion: Counts of pixels: a row for each true class, a column for each predicted one.
        images: One score for each image, in the order of the split.
    """

    classes: tuple[str, ...]
    pixel_error: float
    mean_iou: float
    mean_dice: float
    loss: float
    count: int
    pixels: int
    per_class: dict[str, dict[str, float | None]]
    confusion: list[list[int]]
    images: list[ImageScore]

    @property
    def rand_error(self) -> float | None:
        """Mean over images of the Rand error of cells; None: not measured."""
        return _mean([score.rand_error for score in self.images])

    @property
    def warping_error(self) -> float | None:
        """Mean over images of the warping error of cells; None: not measured."""
        return _mean([score.warping_error for score in self.images])

    @property
    def split_merge_error(self) -> float | None:
        """Mean over images of the pixels that split or merge cells; None: not measured."""
        return _mean([score.split_merge_error for score in self.images])

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as JSON can hold it, under the kind `segmentation`."""
        return {
            "kind": "segmentation",
            "pixel_error": self.pixel_error,
            "mean_iou": self.mean_iou,
            "mean_dice": self.mean_dice,
            "rand_error": self.rand_error,
            "warping_error": self.warping_error,
            "split_merge_error": self.split_merge_error,
            "loss": self.loss,
            "count": self.count,
            "pixels": self.pixels,
            "classes": list(self.classes),
            "per_class": self.per_class,
            "confusion": self.confusion,
            "images": [asdict(score) for score in self.images],
        }


def evaluate_segmentation(
    model: nn.Module,
    split: Pairs,
    preprocessing: Preprocessing,
    *,
    cells: bool = False,
    tiling: Tiling = PLAIN,
    progress: Callable[[int, int], None] | None = None,
    sharing: Sharing = UNSHARED,
) -> SegmentationEvaluation:
    """Segment each image of `split` in its own size and compare each pixel with its mask.

    Of `TolerantPairs`, bad ones are left out.

    Args:
        model: A U-Net, padded or not; runs in evaluation mode on the device it is on.
        split: Images and masks.
        preprocessing: Normalises images; its size is that of the tiles.
        cells: Measure the errors of cells too, where there are two classes; class 0 divides the
            cells.
        tiling: The size of tiles, and how often each is seen.
        progress: Called after each image with the images done and the images in all.
        sharing: The processes that share the images; each gets the evaluation of all of them.

    Raises:
        InputError: An empty split, another number of classes, scores that are not finite.
        FileError: An image or a mask can't be read.
    """
    if not len(split):
        raise InputError("can't evaluate on a split without images")
    measured = cells and len(split.classes) == 2

    def count(part: tuple[int, int]) -> list[_Counted]:
        found = []
        for index in range(part[0], len(split), part[1]):
            one = _count(model, split, index, preprocessing, tiling, measured)
            if one is not None:
                found.append(one)
            if progress is not None:
                progress(index + 1, len(split))
        return found

    found = [one for part in sharing.together(count) for one in part]
    total = np.sum([one.confusion for one in found], axis=0)
    if not found:
        raise InputError("no image of the split can be read")
    if not total.sum():
        raise InputError("no pixel of the split has a class")
    scores = sorted((one.score for one in found if one.score), key=lambda score: score.index)
    return _summary(split.classes, total, sum(one.loss for one in found), len(found), scores)


class _Counted(NamedTuple):
    """One image: its pixels by true and predicted class, the sum of their losses, its score."""

    confusion: np.ndarray
    loss: float
    score: ImageScore | None


def _pair(split: Pairs, index: int) -> tuple[Image.Image, np.ndarray] | None:
    """Read an image and its mask; None: they can't be read, and that is told."""
    if not isinstance(split, TolerantPairs):
        return split.pair(index)
    try:
        return split.own_pair(index)
    finally:
        split.report()


def _count(
    model: nn.Module,
    split: Pairs,
    index: int,
    preprocessing: Preprocessing,
    tiling: Tiling,
    measured: bool,
) -> _Counted | None:
    pair = _pair(split, index)
    if pair is None:
        return None
    image, mask = pair
    pixels = pixels_of(image, preprocessing)
    predicted, wrong = np.empty_like(mask), 0.0
    for rows, columns, logits in tiled_logits(model, pixels, preprocessing, tiling):
        _check(logits, split.classes)
        predicted[rows, columns] = logits.argmax(dim=0).numpy()
        wrong += _cross_entropy(logits, mask[rows, columns])
    known = mask != IGNORED
    confusion = count_pixels(mask[known], predicted[known], len(split.classes))
    if not confusion.sum():
        return _Counted(confusion, wrong, None)
    score = ImageScore(index, split.name(index), *_of_image(confusion))
    score = _with_cells(score, mask, predicted) if measured else score
    return _Counted(confusion, wrong, score)


def count_pixels(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count pixels by true class (rows) and predicted class (columns): (classes, classes)."""
    cells = truth.astype(np.int64).ravel() * classes + predicted.ravel()
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def _summary(
    classes: tuple[str, ...],
    confusion: np.ndarray,
    loss: float,
    count: int,
    scores: list[ImageScore],
) -> SegmentationEvaluation:
    overlaps, dices = intersection_over_union(confusion), dice(confusion)
    return SegmentationEvaluation(
        classes=classes,
        pixel_error=pixel_error(confusion),
        mean_iou=mean_of_known(overlaps),
        mean_dice=mean_of_known(dices),
        loss=loss / int(confusion.sum()),
        count=count,
        pixels=int(confusion.sum()),
        per_class={
            name: {"iou": overlap, "dice": both}
            for name, overlap, both in zip(classes, overlaps, dices, strict=True)
        },
        confusion=confusion.tolist(),
        images=scores,
    )


def _of_image(confusion: np.ndarray) -> tuple[float, float]:
    return pixel_error(confusion), mean_of_known(intersection_over_union(confusion))


def _with_cells(score: ImageScore, mask: np.ndarray, predicted: np.ndarray) -> ImageScore:
    known = mask != IGNORED
    truth, found = mask * known, predicted * known
    return replace(
        score,
        rand_error=rand_error(truth, found),
        warping_error=warping_error(truth, found),
        split_merge_error=split_merge_error(truth, found),
    )


def _cross_entropy(logits: Tensor, mask: np.ndarray) -> float:
    """Give the sum over the pixels of a part."""
    labels = torch.from_numpy(mask.astype(np.int64))[None]
    terms = torch.nn.functional.cross_entropy(
        logits[None].double(), labels, ignore_index=IGNORED, reduction="sum"
    )
    return float(terms)


def _check(logits: Tensor, classes: Sequence[str]) -> None:
    if len(logits) != len(classes):
        raise InputError(
            f"the network gives {len(logits)} classes to a pixel; the masks have {len(classes)}"
        )
    check_finite(logits)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
