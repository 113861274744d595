"""Pictures of attributions: what in an image speaks for a class."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convatlas.cli.drawing import Drawn, Request
from convatlas.errors import InputError, unknown

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from convatlas.serve.predictor import Guess, Predictor
    from convatlas.visualize.layers import Box
    from convatlas.visualize.page import Page


@dataclass(frozen=True, slots=True)
class Explained:
    """What a network says of an image, and which pixels make it say so.

    Attributes:
        predictor: The network.
        best: Its top class.
        label: The class that is explained.
        name: Of that class.
        probability: Of that class.
        seen: The image as the network saw it.
        heat: (H, W), as `convatlas.visualize.draw.figure` takes it.
        box: Around its largest region, where it was asked for and there is one.
        options: Of the method, with the layer where it has one.
    """

    predictor: "Predictor"
    best: "Guess"
    label: int
    name: str
    probability: float
    seen: "Image"
    heat: "Tensor"
    box: "Box | None"
    options: dict[str, Any]


def draw(request: Request) -> list[Drawn]:
    """Explain each image by itself: a figure, or a contact sheet where there are more networks."""
    from convatlas.data.images import read_image
    from convatlas.serve.predictor import Predictor

    predictors = [
        Predictor.load(model, weights, request.source if weights else None)
        for model, weights in ((request.model, request.weights), *request.others)
    ]
    drawn = []
    for path in request.images:
        image = read_image(path)
        found = [explained(request, predictor, image) for predictor in predictors]
        one = _figure(request, found[0]) if len(found) == 1 else _contact(request, found)
        drawn.append(Drawn(path.stem, *one))
    return drawn


def explained(request: Request, predictor: "Predictor", image: "Image") -> Explained:
    """Run the method for the class that the user named, or else for the top class."""
    from convatlas.visualize.boxes import heat_boxes

    best = predictor.predict(image, top=1)[0]
    options = dict(request.options)
    index = chosen_class(request, predictor, best)
    boxes = options.pop("boxes", False)
    options.pop("label", None)
    if "layer" in request.method.options:
        options.setdefault("layer", getattr(predictor.model, "cam_layer", None))
    found = explanation(request)(predictor.model, predictor.prepare(image), index, **options)
    return Explained(
        predictor,
        best,
        index,
        predictor.classes[index],
        float(predictor.probabilities(image)[index]),
        predictor.preprocessing.resized(image),
        shown(request, found),
        heat_boxes(found)[0] if boxes else None,
        options,
    )


def chosen_class(request: Request, predictor: "Predictor", best: "Guess") -> int:
    """Give the number of the class that the user named, or else of the top class."""
    label = request.options.get("label")
    return best.label if label is None else class_index(label, predictor.classes)


def shown(request: Request, found: "Tensor") -> "Tensor":
    """Give the first map of what a method gave, (H, W), scaled as its kind is shown."""
    kind = request.method.kind
    return found[0] if kind == "evidence" else shown_heat(found[0], signed=kind == "signed")


def _figure(request: Request, found: Explained) -> tuple["Page", dict[str, Any]]:
    from convatlas.visualize.draw import figure

    told = [found.predictor.name, *(f"{key} {value}" for key, value in found.options.items())]
    subtitle = f"{', '.join(told)}, probability {found.probability:.1%}"
    if found.label != found.best.label:
        subtitle += f" (top class: {found.best.name}, {found.best.probability:.1%})"
    if found.box is not None:
        subtitle += "; the frame holds the largest region above 20 % of the peak"
    title = f"{request.method.title} for “{found.name}”"
    drawn = figure(found.seen, found.heat, title, subtitle, request.method.kind, found.box)
    return drawn, {"method": request.name, **_facts(request, found)}


def _contact(request: Request, found: list[Explained]) -> tuple["Page", dict[str, Any]]:
    from convatlas.visualize.contact import View, contact_sheet

    views = [
        View(one.predictor.name, f"{one.name}, {one.probability:.1%}", one.seen, one.heat, one.box)
        for one in found
    ]
    shared = {key: value for key, value in request.options.items() if key not in ("label", "boxes")}
    subtitle = ", ".join(f"{key} {value}" for key, value in shared.items())
    names = {one.name for one in found}
    title = request.method.title + (f" for “{names.pop()}”" if len(names) == 1 else "")
    drawn = contact_sheet(views, title, subtitle, request.method.kind)
    return drawn, {"method": request.name, "networks": [_facts(request, one) for one in found]}


def _facts(request: Request, found: Explained) -> dict[str, Any]:
    box = {"box": found.box} if "boxes" in request.options else {}
    return {
        "network": found.predictor.name,
        **found.options,
        "label": found.label,
        "name": found.name,
        "probability": found.probability,
        **box,
    }


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
        InputError: It is a number without a class.
    """
    if label in classes:
        return classes.index(label)
    if not label.removeprefix("-").isdecimal():
        raise unknown("class", label, classes)
    if not 0 <= int(label) < len(classes):
        raise InputError(
            f"no class {label}; there are {len(classes)}, from 0 to {len(classes) - 1}"
        )
    return int(label)


def explanation(request: Request) -> "Callable[..., Tensor]":
    """Give the function that computes what the method's row names."""
    module, _, function = request.method.function.partition(":")
    return getattr(importlib.import_module(f"convatlas.visualize.{module}"), function)
