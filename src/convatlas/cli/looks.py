"""Pictures of a network itself: its filters, its maps, its receptive fields."""

from typing import TYPE_CHECKING, Any

from convatlas.cli.drawing import Drawn, Request
from convatlas.cli.images_of import chosen_split, image_batches
from convatlas.errors import InputError, first_few

if TYPE_CHECKING:
    from torch import Tensor

    from convatlas.serve.predictor import Predictor

_SAMPLES = 20  # images of noise that an effective field is averaged over
_SCALES = {"each": "each at full contrast", "together": "grey is zero, one scale for all"}


def draw(request: Request) -> list[Drawn]:
    """Draw what the method's row names."""
    from convatlas.serve.predictor import Predictor

    predictor = Predictor.load(request.model, request.weights, request.source)
    ways = {"filters": _filters, "towers": _towers, "activations": _activations, "erf": _field}
    return ways[request.name](request, predictor)


def _filters(request: Request, predictor: "Predictor") -> list[Drawn]:
    from convatlas.visualize.filters import filters, first_filters
    from convatlas.visualize.pictures import filters_picture

    _check_no_image(request)
    layer, scaling = request.options.get("layer"), request.options.get("scaling", "each")
    shown = filters(predictor.model, layer, scaling=scaling)
    name, weights = first_filters(predictor.model, layer)
    count, _, height, width = weights.shape
    subtitle = f"{predictor.name}, layer {name}: {count} of {height}x{width}, {_SCALES[scaling]}"
    facts = _facts(request, predictor, name, filters=count, scaling=scaling)
    labels: tuple[str, ...] = ()
    if "parts" in request.options:
        facts["colour"] = _colour_shares(weights, request.options["parts"])
        shares = enumerate(facts["colour"], 1)
        labels = tuple(f"part {n}: {share:.0%} of it is colour" for n, share in shares)
    picture = filters_picture(shown, "Filters", subtitle, labels)
    return [Drawn(predictor.name, picture, facts)]


def _towers(request: Request, predictor: "Predictor") -> list[Drawn]:
    from convatlas.visualize.filters import filters
    from convatlas.visualize.pictures import filters_picture
    from convatlas.visualize.towers import specialisation

    _check_no_image(request)
    scaling = request.options.get("scaling", "each")
    found = specialisation(predictor.model, seed=request.options.get("seed", 0))
    shown = filters(predictor.model, scaling=scaling)
    verdict = "one looks for colour more" if found.specialised else "no specialisation"
    subtitle = (
        f"{predictor.name}, {_SCALES[scaling]}; {verdict}: the same filters dealt out at random "
        f"differ as much in {found.chance:.2%} of all deals"
    )
    labels = [
        f"tower {number}, {name}: {share:.1%} of it is colour"
        for number, (name, share) in enumerate(zip(found.towers, found.colour, strict=True), 1)
    ]
    facts = {
        "method": request.name,
        "network": predictor.name,
        "towers": list(found.towers),
        "colour": list(found.colour),
        "difference": found.difference,
        "chance": found.chance,
        "specialised": found.specialised,
    }
    picture = filters_picture(shown, request.method.title, subtitle, labels)
    return [Drawn(predictor.name, picture, facts)]


def _check_no_image(request: Request) -> None:
    if request.images:
        raise InputError(f"{request.name} are those of the network alone: they take no image")


def _colour_shares(weights: "Tensor", parts: int) -> list[float]:
    """Give the mean share of colour in each of some equal parts of the filters."""
    from convatlas.visualize.filters import colour_share

    if parts < 1 or len(weights) % parts:
        raise InputError(f"{len(weights)} filters can't be cut into {parts} equal parts")
    return [float(colour_share(part).mean()) for part in weights.chunk(parts)]


def _activations(request: Request, predictor: "Predictor") -> list[Drawn]:
    from convatlas.data.images import read_image
    from convatlas.visualize.activations import activations
    from convatlas.visualize.pictures import maps_picture, silent_maps
    from convatlas.visualize.scores import layer_name

    name = layer_name(predictor.model, request.options.get("layer"))
    dead = _dead(request, predictor, name)
    drawn = []
    for path in request.images:
        maps = activations(predictor.model, predictor.prepare(read_image(path)), name)[0]
        count, height, width = maps.shape
        silent = silent_maps(maps)
        subtitle = (
            f"{predictor.name}, layer {name}: {count} of {height}x{width}, each scaled by itself; "
            f"{_numbered(silent)} silent here"
        )
        facts = _facts(request, predictor, name, maps=count, silent=list(silent))
        if dead is not None:
            source = request.options["data"]
            subtitle += f"; {_numbered(dead)} silent for all images of {source}"
            facts["dead"] = list(dead)
        numbers = _chosen(request, count)
        picture = maps_picture(maps, "Activation maps", subtitle, numbers)
        drawn.append(Drawn(path.stem, picture, facts))
    return drawn


def _dead(request: Request, predictor: "Predictor", name: str) -> tuple[int, ...] | None:
    """Look for dead maps where the user named images to look with."""
    from convatlas.visualize.activations import dead_maps

    if "data" not in request.options:
        return None
    parts = image_batches(predictor, chosen_split(request.options), request.options)
    return dead_maps(predictor.model, (batch.images for batch in parts), name)


def _field(request: Request, predictor: "Predictor") -> list[Drawn]:
    from convatlas.visualize.erf import effective_field
    from convatlas.visualize.pictures import field_picture

    images, what = _inputs(request, predictor)
    found = effective_field(predictor.model, images, request.options.get("layer"))
    subtitle = (
        f"{predictor.name}, middle of layer {found.layer}, over {what}: "
        f"{found.effective_size:.0f} pixels wide; the frame is the theoretical field, "
        f"{found.theoretical_size} wide"
    )
    facts = _facts(
        request,
        predictor,
        found.layer,
        effective_size=found.effective_size,
        theoretical_size=found.theoretical_size,
        theoretical_box=list(found.theoretical),
        spread=list(found.spread),
    )
    picture = field_picture(found, "Effective receptive field", subtitle)
    return [Drawn(predictor.name, picture, facts)]


def _inputs(request: Request, predictor: "Predictor") -> tuple["Tensor", str]:
    import torch

    from convatlas.data.images import read_image

    if request.images:
        for option in ("samples", "seed"):
            if option in request.options:
                raise InputError(f"--{option} is of noise: it says nothing beside images")
        images = torch.cat([predictor.prepare(read_image(path)) for path in request.images])
        return images, f"{len(images)} image{'s' * (len(images) > 1)}"
    count = request.options.get("samples", _SAMPLES)
    if count < 1:
        raise InputError(f"at least 1 sample, not {count}")
    generator = torch.Generator().manual_seed(request.options.get("seed", 0))
    channels = len(predictor.preprocessing.mean)
    shape = (count, channels, *predictor.preprocessing.size)
    return torch.randn(shape, generator=generator), f"{count} images of noise"


def _chosen(request: Request, count: int) -> tuple[int, ...] | None:
    numbers = request.options.get("maps")
    for number in numbers or ():
        if number >= count:
            raise InputError(f"no map {number}; there are {count}, from 0 to {count - 1}")
    return numbers


def _numbered(maps: tuple[int, ...]) -> str:
    return f"{len(maps)} ({first_few([str(k) for k in maps], 5)})" if maps else "none"


def _facts(request: Request, predictor: "Predictor", layer: str, **more: Any) -> dict[str, Any]:
    return {"method": request.name, "network": predictor.name, "layer": layer, **more}
