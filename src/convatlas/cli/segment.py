"""`convatlas segment`: the class of each pixel of images of any size."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convatlas.cli.model_options import chosen, device_option
from convatlas.errors import FileError, InputError

if TYPE_CHECKING:
    from convatlas.evaluate.tiling import Tiling
    from convatlas.serve.predictor import Predictor


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument(
    "images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path)
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("segments"),
    show_default=True,
    help="Folder of the masks and overlays.",
)
@click.option(
    "--tile",
    type=click.IntRange(min=1),
    help="Most pixels a side that the network is given at once; by default as it was tested.",
)
@click.option(
    "--turns",
    type=click.Choice(["1", "8"]),
    default="1",
    show_default=True,
    help="8: average over the quarter turns of each tile and of its mirror image.",
)
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(
    model: Path,
    images: tuple[Path, ...],
    out: Path,
    tile: int | None,
    turns: str,
    device: str,
    as_json: bool,
) -> None:
    """Write a mask and an overlay of each IMAGE, in its own size.

    MODEL is a run folder or a .safetensors file of a segmentation network. A mask is a PNG whose
    pixels are numbers of classes, with a palette. Large images go through tile by tile, mirrored
    at their borders. Each page of a TIFF stack gets its own mask.

    Example: convatlas segment runs/nuclei cells.png --out segments
    """
    from convatlas.data.images import count_pages
    from convatlas.evaluate.tiling import Tiling
    from convatlas.serve.predictor import Predictor

    predictor, tiling = Predictor.load(model, device=chosen(device)), Tiling(tile, int(turns))
    _check_names(images)
    found: list[dict[str, Any]] = []
    errors: list[FileError] = []
    for path in images:
        try:
            pages = count_pages(path)
            for page in range(pages):
                name = path.stem if pages == 1 else f"{path.stem}-{page + 1}"
                found.append(_segmented(predictor, path, page, out / name, tiling))
        except FileError as error:  # the other images still get their masks
            errors.append(error)
    if as_json:
        document = {"model": str(model), "classes": list(predictor.classes), "images": found}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _print(predictor.classes, found)
    for error in errors[1:]:
        click.echo(f"convatlas segment: {error}", err=True)
    if errors:
        raise errors[0]


def _check_names(images: tuple[Path, ...]) -> None:
    """Refuse images whose masks would be one file."""
    seen: dict[str, Path] = {}
    for path in images:
        if path.stem in seen:
            raise InputError(
                f"the masks of {seen[path.stem]} and {path} would both be {path.stem}.png: "
                "segment them into two folders, with --out"
            )
        seen[path.stem] = path


def _segmented(
    predictor: "Predictor", path: Path, page: int, target: Path, tiling: "Tiling"
) -> dict[str, Any]:
    import numpy as np

    from convatlas.data.images import read_image
    from convatlas.evaluate.tiling import pixels_of, segment
    from convatlas.visualize.masks import mask_image, overlay_mask

    image = read_image(path, page)
    pixels = pixels_of(image, predictor.preprocessing)
    classes = segment(predictor.model, pixels, predictor.preprocessing, tiling)
    mask, overlay = (
        target.with_name(f"{target.name}.png"),
        target.with_name(f"{target.name}-overlay.png"),
    )
    _save(mask_image(classes), mask)
    _save(overlay_mask(image, classes), overlay)
    counts = np.bincount(classes.ravel(), minlength=len(predictor.classes))
    shares = dict(zip(predictor.classes, (counts / classes.size).tolist(), strict=True))
    return {
        "image": str(path),
        "page": page,
        "height": image.height,
        "width": image.width,
        "mask": str(mask),
        "overlay": str(overlay),
        "shares": shares,
    }


def _save(picture: Any, path: Path) -> None:
    from convatlas.files import whole_file

    with whole_file(path) as aside:
        picture.save(aside, format="PNG")


def _print(classes: tuple[str, ...], found: list[dict[str, Any]]) -> None:
    from convatlas.cli.tables import print_table

    if not found:
        return
    rows = [
        (
            entry["mask"],
            f"{entry['height']}x{entry['width']}",
            *(f"{share:.1%}" for share in entry["shares"].values()),
        )
        for entry in found
    ]
    print_table(("mask", "pixels", *classes), rows, right=("pixels", *classes))
