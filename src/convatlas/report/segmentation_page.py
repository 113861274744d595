"""The page of a segmentation run: how classes overlap, and what is wrong in which image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import nn

from convatlas.data.segmentation import open_segmentation
from convatlas.errors import InputError, UserError
from convatlas.evaluate.tiling import pixels_of, segment
from convatlas.report.page import chart_of
from convatlas.report.pictures import data_uri
from convatlas.report.run_folder import RunFolder
from convatlas.visualize.masks import mistakes, overlay_mask

SHOWN = 6  # test images on the page: the worst, and as many of the best
SIDE = 512  # pixels that a picture on the page has at most


@dataclass(frozen=True, slots=True)
class Segmented:
    """A test image on the page.

    Attributes:
        name: Its name in the split.
        mean_iou: Of this image.
        pixel_error: Of this image.
        pictures: Caption -> data URI.
    """

    name: str
    mean_iou: float
    pixel_error: float
    pictures: dict[str, str]


def segmentation_context(run: RunFolder, model: nn.Module) -> dict[str, Any]:
    """Give what only the page of a segmentation run says."""
    shown, missing = _shown(run, model)
    return {
        "charts": [
            chart_of(run, "Loss", ("train_loss", "val_loss")),
            chart_of(run, "Mean intersection over union", ("val_mean_iou",), percent=True),
        ],
        "shown": shown,
        "missing": missing,
    }


def _shown(run: RunFolder, model: nn.Module) -> tuple[list[Segmented], str]:
    """Segment some images again; without its data the rest of a page still has its worth."""
    root = run.config.get("root")
    try:
        source = open_segmentation(run.config["source"], root=None if root is None else Path(root))
        chosen = _chosen(run.test["images"])
        return [_segmented(score, source.test, run, model) for score in chosen], ""
    except UserError as error:
        return [], str(error)


def _chosen(scores: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Take the worst and the best images, the worst first; all where there are few."""
    order = sorted(scores, key=lambda score: (score["mean_iou"], score["index"]))
    return order if len(order) <= 2 * SHOWN else order[:SHOWN] + order[-SHOWN:]


def _segmented(score: dict[str, Any], split: Any, run: RunFolder, model: nn.Module) -> Segmented:
    index = score["index"]
    if index >= len(split) or split.name(index) != score["name"]:
        raise InputError(f"the data has changed since the run: {score['name']} is gone")
    image, truth = split.pair(index)
    predicted = segment(model, pixels_of(image, run.preprocessing), run.preprocessing)
    pictures = {
        "image": image,
        "mask": overlay_mask(image, truth),
        "prediction": overlay_mask(image, predicted),
        "wrong pixels": mistakes(image, truth, predicted),
    }
    uris = {caption: data_uri(_small(picture)) for caption, picture in pictures.items()}
    return Segmented(score["name"], score["mean_iou"], score["pixel_error"], uris)


def _small(picture: Image.Image) -> Image.Image:
    picture = picture.copy()
    picture.thumbnail((SIDE, SIDE))
    return picture
