"""Pictures of what a network looks for: filters, maps, receptive fields, patches."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from convatlas.errors import InputError
from convatlas.visualize.activations import scaled_maps
from convatlas.visualize.draw import colours, framed
from convatlas.visualize.erf import EffectiveField
from convatlas.visualize.page import Page
from convatlas.visualize.sheet import Tile, fitted, in_rows, sheet

_FIELD = 448  # side of an effective field, pixels


def plain_picture(values: Tensor) -> Image.Image:
    """Turn values in [0, 1], (C, H, W) with 1 or 3 channels, into a picture."""
    if values.dim() != 3 or values.shape[0] not in (1, 3):
        raise InputError(f"a picture is (C, H, W) with 1 or 3 channels; got {tuple(values.shape)}")
    pixels = (values.detach().cpu().double() * 255).round().clamp(0, 255).numpy().astype(np.uint8)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, 2).copy())


def filters_picture(
    filters: Tensor, title: str, subtitle: str = "", labels: Sequence[str] = ()
) -> Page:
    """Show filters in rows.

    Args:
        filters: As `convatlas.visualize.filters.filters` gives them.
        title: See `convatlas.visualize.sheet.sheet`.
        subtitle: Likewise.
        labels: Of equal parts of the layer that are shown apart, such as AlexNet's two.
    """
    tiles = [Tile(plain_picture(values)) for values in filters]
    columns = len(in_rows(tiles)[0])
    size = -(-len(tiles) // max(1, len(labels)))
    rows, shown = [], []
    for number, begin in enumerate(range(0, len(tiles), size)):
        broken = in_rows(tiles[begin : begin + size], columns)
        rows += broken
        shown += [labels[number] if labels else "", *[""] * (len(broken) - 1)]
    return sheet(rows, title, subtitle, labels=shown if labels else ())


def maps_picture(
    maps: Tensor, title: str, subtitle: str = "", numbers: Sequence[int] | None = None
) -> Page:
    """Show the maps of one image, each scaled by itself; one that is flat is said to be silent.

    Args:
        maps: (K, h, w).
        title: See `convatlas.visualize.sheet.sheet`.
        subtitle: Likewise.
        numbers: Those to show, in this order; all when not given.
    """
    numbers = range(len(maps)) if numbers is None else numbers
    shown = scaled_maps(maps[None])[0]
    flat = silent_maps(maps)
    tiles = [
        Tile(Image.fromarray(colours(shown[k])), f"{k} silent" if k in flat else str(k))
        for k in numbers
    ]
    return sheet(in_rows(tiles), title, subtitle)


def silent_maps(maps: Tensor) -> tuple[int, ...]:
    """Give the numbers of the maps (K, h, w) that are the same everywhere."""
    low, high = maps.amin(dim=(1, 2)), maps.amax(dim=(1, 2))
    return tuple((low == high).nonzero()[:, 0].tolist())


def patches_picture(
    patches: Mapping[int, Sequence[tuple[Image.Image, float]]], title: str, subtitle: str = ""
) -> Page:
    """Show the patches of each map in a row of its own, and below each what the map answers.

    Args:
        patches: Cut out, with the value of the map there, by the number of the map.
        title: See `convatlas.visualize.sheet.sheet`.
        subtitle: Likewise.
    """
    rows = [[Tile(cut, f"{value:.3g}") for cut, value in row] for row in patches.values()]
    return sheet(rows, title, subtitle, labels=[f"map {number}" for number in patches])


def field_picture(field: EffectiveField, title: str, subtitle: str = "") -> Page:
    """Show an effective receptive field, and around it the theoretical one as a blue frame.

    Twice: as it is, and its fourth root, in which the faint pixels show too.
    """
    heat = field.effective / field.effective.max()
    tiles = [
        Tile(_framed(values, field), caption)
        for values, caption in ((heat, "share of the gradient"), (heat**0.25, "its fourth root"))
    ]
    return sheet([tiles], title, subtitle, side=_FIELD)


def _framed(heat: Tensor, field: EffectiveField) -> Image.Image:
    return framed(fitted(Image.fromarray(colours(heat)), _FIELD), field.theoretical, heat.shape)
