"""Pictures of test images inside the page: what the network saw, and where it looked."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import nn

from convatlas.data.preprocess import Preprocessing
from convatlas.data.sources import Split
from convatlas.errors import InputError
from convatlas.evaluate.evaluation import Prediction
from convatlas.visualize.draw import colours, overlay
from convatlas.visualize.grad_cam import grad_cam

_TINY = 64  # pixels; below that each one counts, and no lossy format is used


@dataclass(frozen=True, slots=True)
class Shown:
    """A test image on the page.

    Attributes:
        prediction: What the network said of it.
        picture: What the network saw, a data URI.
        tiny: It is enlarged pixel by pixel.
        evidence: Class -> the picture under its Grad-CAM map, a data URI.
    """

    prediction: Prediction
    picture: str
    tiny: bool
    evidence: dict[int, str]


def show(
    predictions: Sequence[Prediction], split: Split, preprocessing: Preprocessing
) -> list[Shown]:
    """Take pictures from the data that the run was tested on.

    Raises:
        InputError: The data has changed: an image is missing, or has another name or label.
    """
    shown = []
    for prediction in predictions:
        check_same(prediction, split)
        seen = preprocessing.resized(split.image(prediction.index))
        shown.append(Shown(prediction, data_uri(seen), max(seen.size) <= _TINY, {}))
    return shown


def explain(
    model: nn.Module,
    predictions: Sequence[Prediction],
    split: Split,
    preprocessing: Preprocessing,
) -> list[Shown]:
    """Add the evidence for the predicted class and, where that is wrong, for the true one.

    Raises:
        InputError: The data has changed since the run.
    """
    explained = []
    for plain in show(predictions, split, preprocessing):
        prediction = plain.prediction
        seen = preprocessing.resized(split.image(prediction.index))
        image = preprocessing.tensor(seen)[None]
        evidence = {
            label: data_uri(overlay(_enlarged(seen), grad_cam(model, image, label)[0]))
            for label in dict.fromkeys((prediction.predicted, prediction.label))
        }
        explained.append(Shown(prediction, plain.picture, plain.tiny, evidence))
    return explained


def data_uri(image: Image.Image) -> str:
    """Give a picture as text that a page can hold: PNG when tiny, else WebP."""
    buffer = io.BytesIO()
    kind = "png" if max(image.size) <= _TINY else "webp"
    image.save(buffer, format=kind, **({"optimize": True} if kind == "png" else {"quality": 82}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def colour_ramp(steps: int = 9) -> str:
    """Give the colours of heat from 0 to 1 as CSS stops."""
    return ", ".join(f"rgb({r} {g} {b})" for r, g, b in colours(np.linspace(0, 1, steps)).tolist())


def _enlarged(image: Image.Image) -> Image.Image:
    """Give heat room to be smooth on an image of a few pixels, whose pixels stay square."""
    factor = max(1, 4 * _TINY // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def check_same(prediction: Prediction, split: Split) -> None:
    """Refuse a prediction of an image that is not there any more.

    Raises:
        InputError: The image is missing, or has another name or label.
    """
    i = prediction.index
    if not 0 <= i < len(split):
        raise InputError(f"image {i} of the test split is gone: it has {len(split)} images now")
    if (split.name(i), split.label(i)) != (prediction.name, prediction.label):
        raise InputError(
            f"image {i} of the test split was {prediction.name!r} and is {split.name(i)!r} now"
        )
