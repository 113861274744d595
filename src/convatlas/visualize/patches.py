"""The patches of a data set that a map answers to most: what its unit has learned to find.

Girshick, Donahue, Darrell, Malik 2014, section 3.1; Zeiler, Fergus 2013, Figure 2.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor, nn

from convatlas.data.loader import Batch
from convatlas.errors import InputError
from convatlas.visualize.layers import Box, maps_of, record_of, seen_box
from convatlas.visualize.scores import layer_name


@dataclass(frozen=True, slots=True)
class Patch:
    """Where an image excites a map most.

    Attributes:
        index: Of the image in its split.
        value: What the map answers there.
        position: Row and column on the map.
        box: The pixels of the network's input that this value sees: top, left, bottom, right, the
            last two just outside; may reach beyond the image.
    """

    index: int
    value: float
    position: tuple[int, int]
    box: Box


def top_patches(
    model: nn.Module,
    batches: Iterable[Batch],
    layer: str | None = None,
    *,
    maps: Sequence[int] | None = None,
    count: int = 9,
) -> dict[int, tuple[Patch, ...]]:
    """Find the images, and the places in them, where maps have their greatest values.

    At most one place of an image counts for a map; of equal values, the first image wins.

    Args:
        model: Any network; evaluated in evaluation mode and left as it was.
        batches: As `convatlas.data.loader.batches` gives them, all of one size of image.
        layer: Dotted name; `model.cam_layer` when not given.
        maps: Numbers of the maps; all when not given.
        count: Patches a map; fewer where there are fewer images.

    Returns:
        For each map its patches, the strongest first.

    Raises:
        UnknownNameError: `model` has no such layer.
        InputError: No such map, no images, `count` below 1, or values that are not finite.
    """
    if count < 1:
        raise InputError(f"at least 1 patch a map, not {count}")
    name = layer_name(model, layer)
    record = None
    best = torch.empty(0)
    for batch in batches:
        found = maps_of(model, batch.images, name)
        if record is None:
            record = record_of(model, tuple(batch.images.shape[1:]), name)
            maps = _checked(maps, found.shape[1], name)
        found = _strongest(found[:, list(maps or ())], batch.indices)
        best = found if best.numel() == 0 else torch.cat([best, found])
        order = best[..., 0].argsort(dim=0, descending=True, stable=True)[:count]
        best = best.gather(0, order[..., None].expand(-1, -1, best.shape[2]))
    if record is None:
        raise InputError("no images to look for patches in")
    patches = {}
    for column, number in enumerate(maps or ()):
        rows = [(value, int(i), (int(r), int(c))) for value, i, r, c in best[:, column].tolist()]
        patches[number] = tuple(Patch(i, v, at, seen_box(record, at)) for v, i, at in rows)
    return patches


def cut_out(picture: Image.Image, box: Box) -> Image.Image:
    """Cut a box out of the picture that the network saw, as far as it lies in it."""
    top, left, bottom, right = box
    inside = (max(0, left), max(0, top), min(picture.width, right), min(picture.height, bottom))
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        raise InputError(f"the box {box} lies outside an image of {picture.height}x{picture.width}")
    return picture.crop(inside)


def _checked(maps: Sequence[int] | None, count: int, name: str) -> Sequence[int]:
    for number in maps or ():
        if not 0 <= number < count:
            raise InputError(f"layer {name!r} has no map {number}; there are {count}, from 0")
    return range(count) if maps is None else maps


def _strongest(maps: Tensor, indices: Tensor) -> Tensor:
    """Give for each image and map the greatest value, the image and the place: (N, K, 4)."""
    if not torch.isfinite(maps).all():
        raise InputError("maps with values that are not finite: broken weights")
    values, places = maps.flatten(2).max(dim=2)
    width = maps.shape[3]
    images = indices.to(maps.device)[:, None].expand_as(places)
    # float64 holds every index and place exactly
    parts = (values, images, places // width, places % width)
    return torch.stack([part.double() for part in parts], dim=2).cpu()
