"""Training to give a class to each pixel: what differs from naming an image."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from convatlas.architectures.unet import BORDER, UNetSpec
from convatlas.data.loader import Batch
from convatlas.data.preprocess import Preprocessing
from convatlas.data.segmentation import SegmentationSource
from convatlas.data.tiles import (
    PixelWeights,
    TileReader,
    check_changes,
    class_weights,
    tile_batches,
)
from convatlas.errors import InputError
from convatlas.evaluate.segmentation import SegmentationEvaluation, evaluate_segmentation
from convatlas.evaluate.sharing import UNSHARED, Sharing
from convatlas.recipe import Recipe
from convatlas.train.losses import Loss
from convatlas.train.pixel_losses import count_right, make_pixel_loss

W0 = 10.0  # Ronneberger et al. 2015, section 3
SUMMARY = ("mean_iou", "mean_dice", "pixel_error", "rand_error", "warping_error", "loss", "count")


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A class for each pixel.

    Attributes:
        preprocessing: Normalises images; its size is that of the tiles that are tested.
        classes: Names, in the order of the logits.
        tile: Height and width of the tiles that are learnt from.
        border: Pixels at each side of a tile for which the network gives no class.
        class_weights: w_c of equation 2; None: all 1.
    """

    preprocessing: Preprocessing
    classes: tuple[str, ...]
    tile: int
    border: int = 0
    class_weights: tuple[float, ...] | None = None

    def check(self, recipe: Recipe) -> None:
        """Refuse what only whole images have.

        Raises:
            UnknownNameError: No such loss.
            InputError: The message names the field.
        """
        make_pixel_loss(recipe.loss, recipe.label_smoothing)
        check_changes(recipe.augment)
        for field, wanted in (("mix", ()), ("sides", False), ("resize_shorter", None)):
            if getattr(recipe, field) != wanted:
                raise InputError(f"segmentation takes no {field}: it is of whole images")
        if recipe.balance == "sampling":
            raise InputError('each image shows several classes: set balance="loss" or "none"')

    def make_loss(self, recipe: Recipe, split: Any) -> Loss:  # noqa: ARG002
        """Give the recipe's loss; the weights of pixels come with the tiles."""
        return make_pixel_loss(recipe.loss, recipe.label_smoothing)

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
        """Go through the images in random order: a tile of each, drawn and changed at random."""
        reader = TileReader(
            split,
            Preprocessing((self.tile, self.tile), self.preprocessing.mean, self.preprocessing.std),
            self.border,
            recipe.augment,
            PixelWeights(self.class_weights, W0 if recipe.loss == "border_weighted" else 0.0),
            seed,
            epoch,
        )
        return tile_batches(reader, recipe.batch_size, start=start, workers=workers, part=part)

    def correct(self, logits: Tensor, targets: Tensor) -> tuple[int, int]:
        """Count the pixels whose class is right, and those that have one."""
        return count_right(logits, targets)

    def evaluate(
        self,
        model: Any,
        split: Any,
        *,
        batch_size: int,  # noqa: ARG002
        workers: int,  # noqa: ARG002
        progress: Callable[[int, int], None],
        sharing: Sharing = UNSHARED,
    ) -> SegmentationEvaluation:
        """Segment whole images, tile by tile; one tile at a time takes the least memory."""
        return evaluate_segmentation(
            model, split, self.preprocessing, progress=progress, sharing=sharing
        )

    def metrics(self, evaluation: Any) -> dict[str, float]:
        """Give the unweighted cross entropy of a pixel, the right pixels and the overlaps."""
        return {
            "val_loss": evaluation.loss,
            "val_accuracy": 1 - evaluation.pixel_error,
            "val_mean_iou": evaluation.mean_iou,
            "val_mean_dice": evaluation.mean_dice,
        }

    def summary(self, test: Mapping[str, Any]) -> dict[str, Any]:
        """Give the overlaps, the errors, the loss and the number of images."""
        return {key: test[key] for key in SUMMARY}


def make_segmentation(
    name: str, spec: Any, source: SegmentationSource, size: tuple[int, int], recipe: Recipe
) -> Segmentation:
    """Say how a network learns from a folder of images and masks.

    Args:
        name: The network, for messages.
        spec: Its spec.
        source: Images and masks; their channels are those of the network's input.
        size: Of the paper's input, in which images are tested, too.
        recipe: How to train.

    Raises:
        UnknownNameError: No such loss.
        InputError: The network gives no class to pixels, or takes no tiles of that size; a field
            of the recipe is of whole images.
    """
    if not isinstance(spec, UNetSpec):
        raise InputError(
            f"{name} gives a class to an image, not to its pixels; unet and unet_padded learn "
            "from images and masks"
        )
    tile = min(size) if recipe.tile is None else recipe.tile
    near = spec.nearest_sizes(tile)
    if tile not in near:
        raise InputError(
            f"{name} takes no tile of {tile} pixels; the nearest are {' and '.join(map(str, near))}"
        )
    balance = class_weights(source.train) if recipe.balance == "loss" else None
    card = source.card
    task = Segmentation(
        preprocessing=card.preprocessing((card.channels, *size)),
        classes=card.classes,
        tile=tile,
        border=0 if spec.padded else BORDER,
        class_weights=balance,
    )
    task.check(recipe)
    return task


def check_classifier(name: str, spec: Any) -> None:
    """Refuse to teach a network labels of images that gives classes to pixels.

    Raises:
        InputError: It does.
    """
    if isinstance(spec, UNetSpec):
        raise InputError(
            f"{name} gives a class to each pixel: it learns from images and masks, such as "
            "segmentation:PATH"
        )
