"""Pictures of attributions: what in an image speaks for a class."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from convatlas.cli.drawing import Drawn, Request
from convatlas.errors import unknown

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from convatlas.serve.predictor import Predictor


def draw(request: Request) -> list[Drawn]:
    """Explain each image by itself: a figure with the class, the network and the layer."""
    from convatlas.serve.predictor import Predictor

    predictor = Predictor.load(request.model, request.weights, request.source)
    return [_explained(request, predictor, path) for path in request.images]


def _explained(request: Request, predictor: "Predictor", path: "Path") -> Drawn:
    from convatlas.data.images import read_image
    from convatlas.visualize.draw import figure

    picture = read_image(path)
    best = predictor.predict(picture, top=1)[0]
    options = dict(request.options)
    label = options.pop("label", None)
    index = best.label if label is None else class_index(label, predictor.classes)
    if "layer" in request.method.options:
        options.setdefault("layer", getattr(predictor.model, "cam_layer", None))
    found = _function(request)(predictor.model, predictor.prepare(picture), index, **options)
    name, probability = predictor.classes[index], float(predictor.probabilities(picture)[index])
    told = [predictor.name, *(f"{key} {value}" for key, value in options.items())]
    subtitle = f"{', '.join(told)}, probability {probability:.1%}"
    if index != best.label:
        subtitle += f" (top class: {best.name}, {best.probability:.1%})"
    seen = predictor.preprocessing.resized(picture)
    kind = request.method.kind
    heat = found[0] if kind == "evidence" else shown_heat(found[0], signed=kind == "signed")
    title = f"{request.method.title} for “{name}”"
    facts = {
        "method": request.name,
        "network": predictor.name,
        **options,
        "label": index,
        "name": name,
        "probability": probability,
    }
    return Drawn(path.stem, figure(seen, heat, title, subtitle, kind), facts)


def shown_heat(values: "Tensor", *, signed: bool) -> "Tensor":
    """Scale an attribution so that few single pixels don't make all others dark.

    The 99th percentile of the magnitudes becomes 1 and what is above it is cut, as Smilkov et al.
    2017 (section 3) show their maps; channels are added up.

    Args:
        values: (H, W) or (C, H, W).
        signed: Keep the sign.

    Returns:
        (H, W), in [-1, 1] or in [0, 1].
    """
    heat = values.sum(dim=0) if values.dim() == 3 else values
    heat = heat.detach().cpu().double()
    top = heat.abs().flatten().quantile(0.99)
    top = top if top > 0 else heat.abs().max()
    heat = heat / top if top > 0 else heat
    return heat.clamp(-1 if signed else 0, 1)


def class_index(label: str, classes: tuple[str, ...]) -> int:
    """Read a class name, or else the number of a class.

    Raises:
        UnknownNameError: It is neither.
    """
    if label in classes:
        return classes.index(label)
    if label.isdecimal() and int(label) < len(classes):
        return int(label)
    raise unknown("class", label, classes)


def _function(request: Request) -> "Callable[..., Tensor]":
    module, _, function = request.method.function.partition(":")
    return getattr(importlib.import_module(f"convatlas.visualize.{module}"), function)
