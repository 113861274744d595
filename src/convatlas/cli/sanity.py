"""The picture and the table of the check by random weights."""

from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from convatlas.cli.attributions import chosen_class, explanation, shown
from convatlas.cli.drawing import Drawn, Request
from convatlas.cli.methods import METHODS
from convatlas.errors import InputError, unknown

if TYPE_CHECKING:
    from pathlib import Path

    from convatlas.serve.predictor import Predictor
    from convatlas.visualize.randomization import Similarity

_OF = "gradcam"
_STOPS = 8  # maps beside that of the trained network


def draw(request: Request) -> list[Drawn]:
    """Check the explanation that --of names on each image by itself."""
    from convatlas.serve.predictor import Predictor

    explained = _explained(request)
    predictor = Predictor.load(request.model, request.weights, request.source)
    return [_checked(request, explained, predictor, path) for path in request.images]


def _explained(request: Request) -> Request:
    """Give the request for the explanation that is checked, by its own row."""
    rows = {name: row for name, row in METHODS.items() if row.drawing == "attributions"}
    name = request.options.get("of", _OF)
    if name not in rows:
        raise unknown("explanation", name, rows)
    options = {key: request.options[key] for key in ("layer", "label") if key in request.options}
    if "layer" in options and "layer" not in rows[name].options:
        raise InputError(f"{name} takes no --layer: it looks at the pixels")
    return replace(request, name=name, method=rows[name], options=options)


def _checked(request: Request, explained: Request, predictor: "Predictor", path: "Path") -> Drawn:
    from convatlas.data.images import read_image
    from convatlas.visualize.contact import View, contact_sheet
    from convatlas.visualize.randomization import cascade, is_sensitive, weighted_layers

    picture = read_image(path)
    seen, image = predictor.preprocessing.resized(picture), predictor.prepare(picture)
    label = chosen_class(explained, predictor, predictor.predict(picture, top=1)[0])
    layers = len(weighted_layers(predictor.model, image))
    every = request.options.get("every", -(-layers // _STOPS))
    seed = request.options.get("seed", 0)
    method = partial(_maps, explained)
    found = list(cascade(predictor.model, method, image, label, every=every, seed=seed))
    views = [
        View(_name(one), f"rank {one.spearman:.2f}, SSIM {one.ssim:.2f}", seen, shown(explained, m))
        for one, m in found
    ]
    stops = [one for one, _ in found[1:]]
    verdict = "sensitive to the weights" if is_sensitive(stops) else "insensitive to the weights"
    title = f"Random weights under {explained.method.title} for “{predictor.classes[label]}”"
    subtitle = (
        f"{predictor.name}: {verdict}; the weights of its layers are drawn afresh from the top "
        "downwards, and each map is compared with the first"
    )
    facts = {
        "method": request.name,
        "of": explained.name,
        "network": predictor.name,
        "label": label,
        "name": predictor.classes[label],
        "sensitive": is_sensitive(stops),
        "stops": [asdict(one) for one in stops],
    }
    page = contact_sheet(views, title, subtitle, explained.method.kind)
    return Drawn(path.stem, page, facts, f"{_table(stops)}\n{explained.name} is {verdict}")


def _maps(explained: Request, model: Any, images: Any, labels: Any) -> Any:
    layer = {key: value for key, value in explained.options.items() if key == "layer"}
    return explanation(explained)(model, images, labels, **layer)


def _name(one: "Similarity") -> str:
    return f"{one.layers} of {one.of} layers" if one.layers else "as trained"


def _table(stops: "list[Similarity]") -> str:
    width = max(len("down to"), *(len(one.layer) for one in stops))
    rows = [
        f"{one.layers:4} of {one.of}  {one.layer:{width}}  {one.spearman:7.2f}  {one.ssim:5.2f}"
        for one in stops
    ]
    head = f"{'random':>{len(f'{stops[0].of}') + 8}}  {'down to':{width}}     rank   SSIM"
    return "\n".join([head, *rows])
