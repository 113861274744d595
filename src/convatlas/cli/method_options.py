"""The options of the methods of `convatlas visualize`; each method knows some of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def _numbers(_ctx: click.Context, _param: click.Parameter, text: str | None) -> tuple | None:
    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise click.BadParameter(f"{text!r} is no list of maps, such as 0,3,17")
    return tuple(int(part) for part in parts)


_OPTIONS = (
    click.option(
        "--layer",
        help="Whose maps to take; by default the last before the pooling; embedding: before the "
        "classifier.",
    ),
    click.option(
        "--label", metavar="NAME_OR_INDEX", help="Class to explain; by default the top one."
    ),
    click.option(
        "--boxes",
        is_flag=True,
        default=None,
        help="Frame the largest region that is hotter than 20 % of the peak (Zhou et al. 2016).",
    ),
    click.option(
        "--with",
        "with",
        multiple=True,
        metavar="MODEL",
        help="Another network beside the first, on the same image; may be repeated.",
    ),
    click.option(
        "--samples", type=int, help="smoothgrad: noisy copies, 50; erf: images of noise, 20."
    ),
    click.option("--noise", type=float, help="smoothgrad: a share of the image's range; 0.15."),
    click.option("--seed", type=int, help="Of what is drawn at random; 0."),
    click.option("--of", metavar="METHOD", help="randomization: the explanation; gradcam."),
    click.option("--every", type=int, help="randomization: layers from map to map; an eighth."),
    click.option("--steps", type=int, help="integrated 64, maximize 200, invert 100."),
    click.option("--size", type=int, help="occlusion: side of the square, pixels; a quarter."),
    click.option("--stride", type=int, help="occlusion: from square to square; a quarter of it."),
    click.option("--maps", callback=_numbers, metavar="NUMBER,...", help="Only these maps."),
    click.option("--strongest", type=int, help="scorecam: only so many maps; all."),
    click.option("--rate", type=float, help="maximize: size of a step; 0.1."),
    click.option("--decay", type=float, help="maximize: what a step takes away; 0.1."),
    click.option("--blur", type=float, help="maximize: width in pixels, each fourth step; 0.5."),
    click.option("--jitter", type=int, help="maximize: random moves, in pixels; 2."),
    click.option("--octaves", type=int, help="maximize: sizes, each 1.4 times the last; 1."),
    click.option("--tv", type=float, help="Weight of the variation; maximize 0, invert 0.001."),
    click.option(
        "--count", type=int, help="patches: how many for each map, 9; mistakes: how many, 12."
    ),
    click.option("--parts", type=int, help="filters: shown apart, such as AlexNet's 2 halves."),
    click.option(
        "--scaling",
        help="filters: each at full contrast (each, the default), or one scale for all (together).",
    ),
    click.option("--by", metavar="WAY", help="embedding: tsne, the default, or umap."),
    click.option("--perplexity", type=float, help="embedding: neighbours of an image; 30."),
    click.option(
        "--grid", is_flag=True, default=None, help="embedding: a cell of its own to each image."
    ),
    click.option(
        "--data", metavar="SOURCE", help="Images to look through: digits, folder:PATH, ..."
    ),
    click.option("--split", metavar="NAME", help="Of --data: train, val or test; test."),
    click.option("--root", type=click.Path(path_type=Path), help="Folder of the files of --data."),
    click.option("--limit", type=int, help="Of --data: how many images; 1000, mistakes all."),
)


def method_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of all methods, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
