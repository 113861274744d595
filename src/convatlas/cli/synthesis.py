"""Pictures that are made from a network: what a class or a map likes best, what maps still tell."""

from typing import TYPE_CHECKING, Any

from convatlas.cli.attributions import class_index
from convatlas.cli.drawing import Drawn, Request
from convatlas.errors import InputError

if TYPE_CHECKING:
    from convatlas.serve.predictor import Predictor

_SHOWN = 12  # classes or maps that are shown when none are named


def draw(request: Request) -> list[Drawn]:
    """Draw what the method's row names."""
    from convatlas.serve.predictor import Predictor

    predictor = Predictor.load(request.model, request.weights, request.source)
    return {"maximize": _maximized, "invert": _inverted}[request.name](request, predictor)


def _maximized(request: Request, predictor: "Predictor") -> list[Drawn]:
    from convatlas.visualize.maximize import Ascent, maximize
    from convatlas.visualize.sheet import Tile, in_rows, sheet

    if request.images:
        raise InputError("maximize begins with noise: it takes no image")
    options = dict(request.options)
    layer = options.pop("layer", None)
    units, names = _units(predictor, layer, options.pop("label", None), options.pop("maps", None))
    shape = (len(predictor.preprocessing.mean), *predictor.preprocessing.size)
    found = maximize(predictor.model, shape, units, layer=layer, ascent=Ascent(**options))
    pictures = [predictor.preprocessing.image(image) for image in found.images]
    scores = found.scores.tolist()
    captions = [f"{name}: {score:.3g}" for name, score in zip(names, scores, strict=True)]
    tiles = [Tile(p, caption) for p, caption in zip(pictures, captions, strict=True)]
    what = "logits of its classes" if layer is None else f"means of the maps of layer {layer}"
    told = [f"{predictor.name}, {what}", *(f"{key} {value}" for key, value in options.items())]
    facts = _facts(request, predictor, options)
    facts |= {"layer": layer, "units": list(units), "names": names, "scores": scores}
    picture = sheet(in_rows(tiles), request.method.title, ", ".join(told))
    return [Drawn(predictor.name, picture, facts)]


def _units(
    predictor: "Predictor", layer: str | None, label: str | None, maps: tuple[int, ...] | None
) -> tuple[tuple[int, ...], list[str]]:
    """Give the numbers of what is maximized, and what it is called."""
    if layer is None:
        if maps is not None:
            raise InputError("whose maps? --maps needs --layer")
        every = range(min(len(predictor.classes), _SHOWN))
        units = tuple(every) if label is None else (class_index(label, predictor.classes),)
        return units, [predictor.classes[unit] for unit in units]
    if label is not None:
        raise InputError("--label is a class, --layer has maps: give one of them")
    if maps is None:
        from convatlas.visualize.layers import record_of
        from convatlas.visualize.scores import layer_name

        shape = (len(predictor.preprocessing.mean), *predictor.preprocessing.size)
        record = record_of(predictor.model, shape, layer_name(predictor.model, layer))
        maps = tuple(range(min(_SHOWN, record.output_shape[0])))
    return maps, [f"map {unit}" for unit in maps]


def _inverted(request: Request, predictor: "Predictor") -> list[Drawn]:
    from convatlas.data.images import read_image
    from convatlas.visualize.invert import invert
    from convatlas.visualize.sheet import Tile, sheet

    drawn = []
    for path in request.images:
        image = predictor.prepare(read_image(path))
        found = invert(predictor.model, image, **request.options)
        pictures = [predictor.preprocessing.image(part[0]) for part in (image, found.images)]
        error = float(found.errors[0])
        captions = (
            f"input, {pictures[0].width} x {pictures[0].height}",
            f"error of the maps {100 * error:.2g} %",
        )
        tiles = [Tile(p, caption) for p, caption in zip(pictures, captions, strict=True)]
        subtitle = f"{predictor.name}, an image with the maps of layer {found.layer}"
        facts = _facts(request, predictor, dict(request.options))
        facts |= {"layer": found.layer, "error": error}
        picture = sheet([tiles], request.method.title, subtitle, side=448)
        drawn.append(Drawn(path.stem, picture, facts))
    return drawn


def _facts(request: Request, predictor: "Predictor", options: dict[str, Any]) -> dict[str, Any]:
    return {"method": request.name, "network": predictor.name, **options}
