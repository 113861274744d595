"""The picture of the patches that excite the maps of a layer most."""

from convatlas.cli.drawing import Drawn, Request
from convatlas.cli.images_of import chosen_split, image_batches
from convatlas.errors import InputError

_ROWS = 8  # maps that are shown when none are named


def draw(request: Request) -> list[Drawn]:
    """Look through the images of a source once; one picture for all maps."""
    from convatlas.serve.predictor import Predictor
    from convatlas.visualize.patches import cut_out, top_patches
    from convatlas.visualize.pictures import patches_picture
    from convatlas.visualize.scores import layer_name

    if request.images:
        raise InputError("patches are looked for in --data, not in single images")
    split = chosen_split(request.options)
    predictor = Predictor.load(request.model, request.weights, request.source)
    name = layer_name(predictor.model, request.options.get("layer"))
    found = top_patches(
        predictor.model,
        image_batches(predictor, split, request.options),
        name,
        maps=request.options.get("maps"),
        count=request.options.get("count", 9),
    )
    maps = request.options.get("maps", tuple(found)[:_ROWS])
    seen = {p.index: split.image(p.index) for number in maps for p in found[number]}
    seen = {index: predictor.preprocessing.resized(image) for index, image in seen.items()}
    cuts = {n: [(cut_out(seen[p.index], p.box), p.value) for p in found[n]] for n in maps}
    top, _, bottom, _ = found[maps[0]][0].box
    source = request.options["data"]
    subtitle = (
        f"{predictor.name}, layer {name}: what its maps answer to most in {source}, with the "
        f"value; a value sees {bottom - top} pixels"
    )
    facts = {
        "method": request.name,
        "network": predictor.name,
        "layer": name,
        "source": source,
        "maps": {
            number: [
                {"image": split.name(p.index), "value": p.value, "box": list(p.box)}
                for p in found[number]
            ]
            for number in maps
        },
    }
    picture = patches_picture(cuts, request.method.title, subtitle)
    return [Drawn(predictor.name, picture, facts)]
