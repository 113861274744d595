"""The map of the images of a source, as a network finds them alike."""

from typing import TYPE_CHECKING, Any

from convatlas.cli.drawing import Drawn, Request
from convatlas.cli.images_of import LIMIT, SomeImages, chosen_images
from convatlas.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from convatlas.evaluate.descriptors import Descriptors

_PERPLEXITY = 30.0
_GAP = 4  # between the pictures of a grid, pixels
_NAMES = {"tsne": "t-SNE", "umap": "UMAP"}


def draw(request: Request) -> list[Drawn]:
    """Describe each image by a layer, lay the descriptions out, and draw the images there."""
    import torch

    from convatlas.cli.progress import show_batches
    from convatlas.evaluate.descriptors import describe
    from convatlas.serve.predictor import Predictor
    from convatlas.visualize.embedding import agreement, check_way, embed, on_grid
    from convatlas.visualize.image_map import MAP_SIDE, image_map
    from convatlas.visualize.layers import last_features

    if request.images:
        raise InputError("an embedding is of --data, not of single images")
    options = request.options
    by = options.get("by", "tsne")
    check_way(by)
    split, classes = chosen_images(options)
    split = SomeImages(split, options.get("limit", LIMIT))
    predictor = Predictor.load(request.model, request.weights, request.source)
    image = torch.zeros(1, len(predictor.preprocessing.mean), *predictor.preprocessing.size)
    layer = options.get("layer") or last_features(predictor.model, image)
    with show_batches(f"{predictor.name} on {options['data']}") as progress:
        found = describe(
            predictor.model, split, predictor.preprocessing, classes, layer, progress=progress
        )
    perplexity = options.get("perplexity", min(_PERPLEXITY, max(1.0, (len(split) - 1) / 3)))
    points = embed(found.vectors, by=by, perplexity=perplexity, seed=options.get("seed", 0))
    agree = agreement(points, found.labels)
    subtitle = (
        f"{predictor.name}, layer {layer}: {len(split):,} images of {options['data']} by "
        f"{_NAMES[by]}; of the 10 nearest neighbours on the map {agree:.0%} are of the same class"
    )
    pictures = [predictor.preprocessing.resized(split.image(i)) for i in range(len(split))]
    places, side = points, None
    if "grid" in options:
        places = on_grid(points)
        side = MAP_SIDE // (1 + int(places.max())) - _GAP
    page = image_map(
        pictures,
        places,
        request.method.title,
        subtitle,
        labels=found.labels.tolist(),
        classes=classes,
        side=side,
    )
    facts = {
        "method": request.name,
        "network": predictor.name,
        "layer": layer,
        "by": by,
        "source": options["data"],
        "count": len(split),
        "length": found.vectors.shape[1],
        "agreement": agree,
        "points": _points(found, places),
    }
    return [Drawn(predictor.name, page, facts)]


def _points(found: "Descriptors", places: "np.ndarray") -> list[dict[str, Any]]:
    rows = zip(found.names, found.labels.tolist(), places.tolist(), strict=True)
    return [
        {"image": name, "class": found.classes[label], "x": x, "y": y}
        for name, label, (x, y) in rows
    ]
